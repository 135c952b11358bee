// Pods of one application
function onPodEvent(event, pod) {
  if (pod.ObjectMeta.Labels.app !== "shop") return;
  console.log(event, pod.ObjectMeta.Namespace + "/" + pod.ObjectMeta.Name, pod.metadata.name, pod.Spec.NodeName,
    pod.Status.PodIP, pod.Status.Phase, Object.keys(pod).join(","));
}

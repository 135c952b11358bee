// PCAPs of what matches, to a bucket
function onItemCaptured(data) {
  wrapper.kflPcapS3(data, {
    kflArr: ["http", "dns"],
    s3Bucket: env.BUCKET, awsRegion: "us-east-1", awsAccessKeyId: env.KEY, awsSecretAccessKey: env.SECRET,
    maxL4Streams: 2, maxMinutes: 60, verbose: true,
  });
}

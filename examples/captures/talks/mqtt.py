"""A thermometer and a listener, in MQTT 3.1.1 and 5, with every QoS, a retained message and a last will."""

from __future__ import annotations

import subprocess
import time

from network import BROKERS, LAPTOP, PHONE


def talk() -> None:
    listen = ["mosquitto_sub", "-h", BROKERS, "-A", LAPTOP, "-i", "listener", "-W", "5"]
    everything = [*listen, "-V", "mqttv5", "-q", "2", "-t", "home/#", "-C", "4"]
    listener = subprocess.Popen(everything, stdout=subprocess.DEVNULL)
    time.sleep(0.3)  # it does not say when it has subscribed
    say = ["mosquitto_pub", "-h", BROKERS, "-A", PHONE, "-i", "thermometer"]
    for quality in ("0", "1", "2"):
        subprocess.run([*say, "-t", "home/kitchen/temperature", "-m", "21.5", "-q", quality], check=True)
    will = ["--will-topic", "home/kitchen/status", "--will-payload", "gone", "--will-qos", "1"]
    subprocess.run([*say, "-V", "5", "-t", "home/kitchen/status", "-m", "here", "-r", "-q", "1", *will], check=True)
    listener.wait(10)
    subprocess.run([*listen, "-t", "home/kitchen/status", "-C", "1"], check=True, stdout=subprocess.DEVNULL)

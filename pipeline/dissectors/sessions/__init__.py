"""Line-based and interactive sessions: mail, files, calls, shells."""

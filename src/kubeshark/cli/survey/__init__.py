"""The questions of `kubeshark init`: asked, checked, written as kubeshark.yaml."""

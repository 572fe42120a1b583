"""Cloud Logging of the local cloud: it serves what the platform's processes wrote into their files.

What belongs here: sources and their files, what a line means as an entry, the filter language, the service.
"""

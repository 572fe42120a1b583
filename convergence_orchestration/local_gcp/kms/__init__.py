"""Cloud KMS: key rings, symmetric keys and their versions, encryption with them, and who may use them.

What belongs here: what the service's documentation promises for keys of purpose ENCRYPT_DECRYPT. Other purposes, imports,
external keys and retired resources are answered UNIMPLEMENTED.
"""

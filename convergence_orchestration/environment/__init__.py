"""What an environment stands on before anything runs in it: the key ring and key, the administrators' secret, who may use them."""

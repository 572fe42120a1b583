"""Tenants: their ids, plans and states, the requests that change them, and how one comes into being."""

from convergence_orchestration_tests.fresh_bigquery import fresh_emulated_settings, fresh_local_bigquery

__all__ = ["fresh_emulated_settings", "fresh_local_bigquery"]

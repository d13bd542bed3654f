SELECT log_id, master_check FROM identity;

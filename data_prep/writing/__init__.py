"""From encoded tables to a folder of records that is whole or absent."""

"""Industrial-style logs, videos watched and live rooms shown: reader, preparation, and a generator of such logs."""

-- Tables for `portside fleet export --format parquet`, one for each kind. Run twice it changes nothing.

CREATE TABLE IF NOT EXISTS portside_closed
(
    `timestamp` DateTime64(6, 'UTC'),
    `host.name` LowCardinality(String),
    `portside.site` LowCardinality(String),
    `portside.boot` String,
    `portside.seq` Int64,
    `network.transport` LowCardinality(Nullable(String)),
    `network.type` LowCardinality(Nullable(String)),
    `network.local.address` Nullable(String),
    `network.local.port` Nullable(Int64),
    `network.peer.address` Nullable(String),
    `network.peer.port` Nullable(Int64),
    `network.connection.state` LowCardinality(Nullable(String)),
    `process.pid` Nullable(Int64),
    `process.executable.name` LowCardinality(Nullable(String)),
    `process.command_line` Nullable(String),
    `user.id` Nullable(String),
    `portside.duration_s` Nullable(Float64),
    `portside.seen` LowCardinality(Nullable(String)),
    `portside.of` Nullable(Int64),
    `tcp.recv_q` Nullable(Int64),
    `tcp.send_q` Nullable(Int64),
    `tcp.congestion` LowCardinality(Nullable(String)),
    `tcp.ca_state` Nullable(Int64),
    `tcp.probes` Nullable(Int64),
    `tcp.backoff` Nullable(Int64),
    `tcp.options` Nullable(String),
    `tcp.rto_us` Nullable(Int64),
    `tcp.ato_us` Nullable(Int64),
    `tcp.mss` Nullable(Int64),
    `tcp.rcv_mss` Nullable(Int64),
    `tcp.unacked` Nullable(Int64),
    `tcp.sacked` Nullable(Int64),
    `tcp.lost` Nullable(Int64),
    `tcp.retrans` Nullable(Int64),
    `tcp.last_data_sent_ms` Nullable(Int64),
    `tcp.last_data_recv_ms` Nullable(Int64),
    `tcp.last_ack_recv_ms` Nullable(Int64),
    `tcp.pmtu` Nullable(Int64),
    `tcp.rcv_ssthresh` Nullable(Int64),
    `tcp.rtt_us` Nullable(Int64),
    `tcp.rttvar_us` Nullable(Int64),
    `tcp.ssthresh` Nullable(Int64),
    `tcp.cwnd` Nullable(Int64),
    `tcp.advmss` Nullable(Int64),
    `tcp.reordering` Nullable(Int64),
    `tcp.rcv_rtt_us` Nullable(Int64),
    `tcp.rcv_space` Nullable(Int64),
    `tcp.retrans_total` Nullable(Int64),
    `tcp.pacing_rate` Nullable(Int64),
    `tcp.max_pacing_rate` Nullable(Int64),
    `tcp.bytes_acked` Nullable(Int64),
    `tcp.bytes_received` Nullable(Int64),
    `tcp.segs_out` Nullable(Int64),
    `tcp.segs_in` Nullable(Int64),
    `tcp.notsent_bytes` Nullable(Int64),
    `tcp.min_rtt_us` Nullable(Int64),
    `tcp.data_segs_in` Nullable(Int64),
    `tcp.data_segs_out` Nullable(Int64),
    `tcp.delivery_rate` Nullable(Int64),
    `tcp.busy_us` Nullable(Int64),
    `tcp.rwnd_limited_us` Nullable(Int64),
    `tcp.sndbuf_limited_us` Nullable(Int64),
    `tcp.delivered` Nullable(Int64),
    `tcp.delivered_ce` Nullable(Int64),
    `tcp.bytes_sent` Nullable(Int64),
    `tcp.bytes_retrans` Nullable(Int64),
    `tcp.dsack_dups` Nullable(Int64),
    `tcp.reord_seen` Nullable(Int64),
    `tcp.rcv_ooopack` Nullable(Int64),
    `tcp.snd_wnd` Nullable(Int64),
    `tcp.rcv_wnd` Nullable(Int64),
    `tcp.rehash` Nullable(Int64),
    `tcp.total_rto` Nullable(Int64),
    `tcp.total_rto_recoveries` Nullable(Int64),
    `tcp.total_rto_time_ms` Nullable(Int64),
    `tcp.received_ce` Nullable(Int64),
    `tcp.delivered_e1_bytes` Nullable(Int64),
    `tcp.delivered_e0_bytes` Nullable(Int64),
    `tcp.delivered_ce_bytes` Nullable(Int64),
    `tcp.received_e1_bytes` Nullable(Int64),
    `tcp.received_e0_bytes` Nullable(Int64),
    `tcp.received_ce_bytes` Nullable(Int64),
    `tcp.snd_wscale` Nullable(Int64),
    `tcp.rcv_wscale` Nullable(Int64),
    `tcp.app_limited` Nullable(Bool),
    `tcp.ecn_mode` Nullable(Int64),
    `tcp.accecn_opt_seen` Nullable(Int64),
    `tcp.accecn_fail_mode` Nullable(Int64),
    `tcp.rwnd_limited_share` Nullable(Float64),
    `tcp.sndbuf_limited_share` Nullable(Float64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`timestamp`)
ORDER BY (`portside.site`, `host.name`, `portside.boot`, `portside.seq`)
TTL toDateTime(`timestamp`) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS portside_summary
(
    `timestamp` DateTime64(6, 'UTC'),
    `portside.period_s` Nullable(Float64),
    `host.name` LowCardinality(String),
    `portside.site` LowCardinality(String),
    `portside.boot` String,
    `portside.seq` Int64,
    `network.transport` LowCardinality(Nullable(String)),
    `network.local.port` Nullable(Int64),
    `portside.peer.network` Nullable(String),
    `network.connection.state` LowCardinality(Nullable(String)),
    `process.executable.name` LowCardinality(Nullable(String)),
    `portside.sockets` Nullable(Int64),
    `portside.opened` Nullable(Int64),
    `portside.closed` Nullable(Int64),
    `portside.reset` Nullable(Int64),
    `tcp.bytes_sent` Nullable(Int64),
    `tcp.bytes_received` Nullable(Int64),
    `tcp.segs_out` Nullable(Int64),
    `tcp.retrans` Nullable(Int64),
    `tcp.recv_q` Nullable(Int64),
    `tcp.send_q` Nullable(Int64),
    `tcp.rtt_us` Nullable(Int64),
    `portside.others` Nullable(Bool)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`timestamp`)
ORDER BY (`portside.site`, `host.name`, `portside.boot`, `portside.seq`)
TTL toDateTime(`timestamp`) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS portside_findings
(
    `timestamp` DateTime64(6, 'UTC'),
    `host.name` LowCardinality(String),
    `portside.site` LowCardinality(String),
    `portside.boot` String,
    `portside.seq` Int64,
    `portside.finding.code` Nullable(String),
    `portside.finding.severity` Nullable(String),
    `portside.finding.subject` Nullable(String),
    `network.type` LowCardinality(Nullable(String)),
    `network.local.address` Nullable(String),
    `network.local.port` Nullable(Int64),
    `network.peer.address` Nullable(String),
    `network.peer.port` Nullable(Int64),
    `process.pid` Nullable(Int64),
    `process.executable.name` LowCardinality(Nullable(String)),
    `portside.finding.summary` Nullable(String),
    `portside.finding.count` Nullable(Int64),
    `portside.finding.first_seen` Nullable(DateTime64(6, 'UTC')),
    `portside.finding.last_seen` Nullable(DateTime64(6, 'UTC')),
    `portside.finding.evidence` Nullable(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(`timestamp`)
ORDER BY (`portside.site`, `host.name`, `timestamp`)
TTL toDateTime(`timestamp`) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS portside_node
(
    `timestamp` DateTime64(6, 'UTC'),
    `host.name` LowCardinality(String),
    `portside.site` LowCardinality(String),
    `portside.boot` String,
    `portside.seq` Int64,
    `host.id` Nullable(String),
    `os.description` Nullable(String),
    `portside.version` Nullable(String),
    `portside.started` Nullable(DateTime64(6, 'UTC')),
    `portside.every_s` Nullable(Float64),
    `portside.cpus` Nullable(Int64),
    `portside.load` Nullable(Float64),
    `portside.sockets.syn_received` Nullable(Int64),
    `portside.sockets.closing` Nullable(Int64),
    `portside.sockets.listen` Nullable(Int64),
    `portside.sockets.last_ack` Nullable(Int64),
    `portside.sockets.close_wait` Nullable(Int64),
    `portside.sockets.closed` Nullable(Int64),
    `portside.sockets.time_wait` Nullable(Int64),
    `portside.sockets.fin_wait_2` Nullable(Int64),
    `portside.sockets.fin_wait_1` Nullable(Int64),
    `portside.sockets.syn_sent` Nullable(Int64),
    `portside.sockets.established` Nullable(Int64),
    `portside.cpu_s` Nullable(Float64),
    `portside.rss_bytes` Nullable(Int64),
    `portside.records` Nullable(Int64),
    `portside.outbox.records` Nullable(Int64),
    `portside.outbox.bytes` Nullable(Int64),
    `portside.outbox.oldest_s` Nullable(Float64),
    `portside.outbox.dropped` Nullable(Int64),
    `portside.sampled` Nullable(Int64),
    `portside.lost` Nullable(Int64),
    `portside.notes` Nullable(String),
    `portside.last` Nullable(Bool)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`timestamp`)
ORDER BY (`portside.site`, `host.name`, `portside.boot`, `portside.seq`)
TTL toDateTime(`timestamp`) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS portside_server
(
    `timestamp` DateTime64(6, 'UTC'),
    `host.name` LowCardinality(String),
    `portside.site` LowCardinality(String),
    `portside.boot` String,
    `portside.seq` Int64,
    `process.pid` Nullable(Int64),
    `portside.event` Nullable(String),
    `portside.conn` Nullable(Int64),
    `network.transport` LowCardinality(Nullable(String)),
    `network.peer.address` Nullable(String),
    `network.peer.port` Nullable(Int64),
    `portside.event_json` Nullable(String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(`timestamp`)
ORDER BY (`portside.site`, `host.name`, `portside.boot`, `portside.seq`)
TTL toDateTime(`timestamp`) + INTERVAL 30 DAY;

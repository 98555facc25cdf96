-- Each minute: what the collector has stored and seen, as JSON to a topic.
-- Put it into DIR/minute/ of --scripts-dir DIR, and write your broker here.
local broker_ip, topic, kafka_options = "127.0.0.1", "gannet-stats", "compression.codec=gzip"
local json = require "json"

local stats = ntop.getStats()
local message = json.encode({
   time = os.time(),
   packets = stats.packets,
   octets = stats.octets,
   flows = stats.flows,
   packets_per_second = stats.packets_per_second,
   octets_per_second = stats.octets_per_second,
   lost_packets = stats.lost.packets,
   verdict = stats.verdict,
})
local queued, why = ntop.sendKafkaMessage(broker_ip .. ";" .. topic .. ";" .. kafka_options, message)
if not queued then
   traceError(TRACE_ERROR, TRACE_CONSOLE, "statistics were not sent: " .. why)
end

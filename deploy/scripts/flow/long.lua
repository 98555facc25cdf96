-- Says which pairs of hosts have flows that carry much or last long, each pair at most once in ten minutes.
-- Put it into DIR/flow/ of --scripts-dir DIR.
local SECONDS, OCTETS, QUIET = 3600, 10 * 1024 * 1024 * 1024, 600

return function(flow)
   local seconds = (flow.flow_end_nanoseconds - flow.flow_start_nanoseconds) // 1000000000
   local octets = flow.octet_delta_count + flow.reverse_octet_delta_count
   if seconds < SECONDS and octets < OCTETS then
      return
   end
   local pair = flow.source_ip_address .. " to " .. flow.destination_ip_address
   local key = "long.lua." .. pair
   if ntop.getCache(key) == "" then
      ntop.setCache(key, "said", QUIET)
      ntop.alert(("%s port %d: %d s, %d octets"):format(pair, flow.destination_transport_port, seconds, octets))
   end
end

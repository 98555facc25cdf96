-- Says which flows last long or carry much, over all their records (a long flow has one at each active time-out), each pair of
-- hosts at most once in ten minutes. Put it into DIR/flow/ of --scripts-dir DIR.
local SECONDS, OCTETS, QUIET = 3600, 10 * 1024 * 1024 * 1024, 600
local OPEN_MAX = 100000

local open, count = {}, 0

-- Where a flow that goes on began, and what it has carried so far.
local function whole(flow)
   local key = table.concat({
      flow.source_ip_address, flow.source_transport_port,
      flow.destination_ip_address, flow.destination_transport_port, flow.protocol_identifier,
   }, " ")
   local known = open[key] or { start = flow.flow_start_nanoseconds, octets = 0 }
   known.octets = known.octets + flow.octet_delta_count + flow.reverse_octet_delta_count
   if flow.flow_end_reason ~= "active_timeout" then
      if open[key] then
         open[key], count = nil, count - 1
      end
   elseif not open[key] and count < OPEN_MAX then
      open[key], count = known, count + 1
   end
   return (flow.flow_end_nanoseconds - known.start) // 1000000000, known.octets
end

return function(flow)
   local seconds, octets = whole(flow)
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

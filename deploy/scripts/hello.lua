-- gannet-collector lua hello.lua
local broker_ip, topic, kafka_options = "127.0.0.1", "hello", ""
print(ntop.sendKafkaMessage(broker_ip .. ";" .. topic .. ";" .. kafka_options, "Hello World"))

-- Tells a Slack, Discord or Teams channel that a build failed. Usage: lua5.4 examples/chat.lua slack|discord|teams URL
local webhook = require "webhook"

local format, url = arg[1], arg[2]
if not url then
  io.stderr:write("usage: lua5.4 examples/chat.lua slack|discord|teams URL\n")
  os.exit(2)
end

-- Say once how the event reads; what is not said is made up from the event.
webhook.events.present("job_finished", { link = "https://ci.example.com/jobs/{id}" })

local now = os.time() * 1000
local event = webhook.events.job_finished {
  id = "16555c02-a320-4bec-a14a-52754d783970", appId = "my-app", appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c",
  stack = "macos-tahoe", status = "failed", createdAt = now - 87000, finishedAt = now,
}
print(webhook.preview(event, format))

local delivery, message = webhook.send { url = url, format = format, event = event }
print(delivery and "sent" or "not sent: " .. message)
os.exit(delivery and 0 or 1)

-- Receives webhooks: /hooks takes them, /received lists the newest.
local cjson = require "cjson"
local emit = require "emit"
local resty = require "webhook.resty"
local webhook = require "webhook"

local KEPT = 100

local receive = {}

--- For access_by_lua: only what is signed with our secret goes on, and only once.
receive.verify = resty.verify {
  scheme = "standard", secret = emit.SECRET, seen = webhook.seen.shared(ngx.shared.webhooks_seen),
}

--- Here the application does its work. With an answer other than 2xx, or an error, the webhook will come again.
function receive.content()
  local proof = ngx.ctx.webhook
  local event = cjson.decode(proof.body)
  local line = cjson.encode { id = proof.id, event = event.event, job = event.data.id, status = event.data.status }
  local count = assert(ngx.shared.received:lpush("newest", line))
  if count > KEPT then ngx.shared.received:rpop("newest") end
  ngx.say('{"status":"ok"}')
end

--- GET /received: the newest first.
function receive.list()
  local received, lines = ngx.shared.received, {}
  for i = 1, received:llen("newest") do
    -- To the other end and back: a list in shared memory can only be read at its ends.
    lines[i] = received:lpop("newest")
    received:rpush("newest", lines[i])
  end
  ngx.say("[", table.concat(lines, ",\n"), "]")
end

return receive

-- Inside nginx's workers: each request emits an event, and is answered with the event's id and the worker's process id.
local webhook = require "webhook"

local app = {}

function app.start(path)
  app.hooks = assert(webhook.open(path, { allow_networks = { "127.0.0.0/8" }, close_timeout = 5, lease = 5 }))
end

function app.stop() app.hooks:close() end

-- GET /PREFIX?n=NUMBER
function app.content()
  local id = ngx.var.uri:sub(2) .. "-" .. ngx.var.arg_n
  local message, problem = app.hooks:emit(webhook.events.job_finished { id = id, appId = "app", status = "failed" })
  local answer = message and id .. " " .. ngx.worker.pid() or problem
  if not message then ngx.status = 503 end
  ngx.header["Content-Length"] = #answer
  ngx.print(answer)
end

return app

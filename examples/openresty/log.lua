-- Shows the delivery log: GET /log?limit=20&status=failed&event=job_finished, newest first.
local cjson = require "cjson"
local emit = require "emit"

local DEFAULT_LIMIT, MAX_LIMIT = 20, 100
local STATUSES = { pending = true, succeeded = true, failed = true, canceled = true }

local log = {}

local function refuse(message)
  ngx.status = 400
  ngx.say(cjson.encode { error = message })
end

local function line_of(delivery)
  return cjson.encode {
    id = delivery.id, event = delivery.event, status = delivery.status, attempts = #delivery.attempts,
    answer = delivery.response_status_code, error = delivery.reason or delivery.error, created_at = delivery.created_at,
  }
end

function log.content()
  local args = ngx.req.get_uri_args()
  local limit = tonumber(args.limit or DEFAULT_LIMIT)
  if not limit or limit % 1 ~= 0 or limit < 1 or limit > MAX_LIMIT then return refuse("limit: 1 to " .. MAX_LIMIT) end
  if args.status and not STATUSES[args.status] then return refuse("status: pending, succeeded, failed or canceled") end
  if args.event and type(args.event) ~= "string" then return refuse("event: a name") end

  local lines = {}
  for _, delivery in emit.hooks.log:where({ status = args.status, event = args.event }):each() do
    lines[#lines + 1] = line_of(delivery)
    if #lines == limit then break end
  end
  ngx.say("[", table.concat(lines, ",\n"), "]")
end

return log

-- The example application, run as a user would run it.
local cjson = require("cjson")
local nginx_app = require("spec.support.nginx_app")
local openresty_example = require("spec.support.openresty_example")
local shell = require("spec.support.shell")
local socket = require("socket")
local wait = require("spec.support.wait")

if not nginx_app.build() then
  pending("the example needs a build for LuaJIT (script/build build-jit)")
  return
end

describe("the example for OpenResty", function()
  local example

  before_each(function()
    example = openresty_example.start()
    example:subscribe()
  end)

  after_each(function()
    example:stop()
  end)

  local function post_job(id, status)
    local code, body = example:post("/jobs", cjson.encode({ id = id, status = status or "failed" }))
    assert.equal(202, code, body)
    local answer = cjson.decode(body)
    assert.equal(1, answer.deliveries)
    return answer
  end

  local function wait_for(what, path, fn)
    return wait.for_condition(what, 15, function()
      for _, entry in ipairs(example:list(path)) do
        if fn(entry) then
          return entry
        end
      end
    end)
  end

  local function received(job)
    return wait_for(job .. " to be received", "/received", function(entry)
      return entry.job == job
    end)
  end

  local function logged(id)
    return wait_for(id .. " to be logged", "/log?limit=100&status=succeeded", function(entry)
      return entry.id == id
    end)
  end

  it("emits, receives what is signed, and shows it in the log, newest first", function()
    post_job("first")
    local first = received("first")
    assert.equal("job_finished", first.event)
    assert.equal("failed", first.status)
    post_job("second", "succeeded")
    local second = received("second")
    assert.equal("succeeded", second.status)

    local entry = logged(first.id)
    logged(second.id)
    assert.equal("job_finished", entry.event)
    assert.equal(200, entry.answer)
    assert.equal(1, entry.attempts)
    local log = example:list("/log")
    assert.same({ second.id, first.id }, { log[1].id, log[2].id })
    assert.equal(2, #log)
    assert.same({ second.id }, { example:list("/log?limit=1")[1].id })
    assert.equal(1, #example:list("/log?limit=1"))
    assert.same({}, example:list("/log?status=failed"))
    assert.equal(2, #example:list("/log?event=job_finished"))
    assert.same({}, example:list("/log?event=job_created"))
  end)

  it("refuses what is forged with 401", function()
    local headers = {
      ["webhook-id"] = "msg_forged",
      ["webhook-timestamp"] = tostring(os.time()),
      ["webhook-signature"] = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    }
    local body = '{"event":"job_finished","data":{"id":"forged"}}'
    local status, answer = example:post("/hooks", body, headers)
    assert.equal(401, status)
    assert.equal('{"error":"the signature does not match"}', answer)
    status = example:post("/hooks", body)
    assert.equal(400, status)
    assert.same({}, example:list("/received"))
  end)

  it("says what is wrong with a job, a webhook, or a question to the log", function()
    for body, wanted in pairs({
      ["{"] = "a JSON object is expected",
      ["7"] = "a JSON object is expected",
      ['{"id":7}'] = "field 'id' must be string",
      ['{"idd":"7"}'] = "idd",
    }) do
      local status, answer = example:post("/jobs", body)
      assert.equal(400, status)
      assert.truthy(answer:find(wanted, 1, true), answer)
    end
    for body, wanted in pairs({
      ["[]"] = "'url' must be a string",
      ['{"url":7}'] = "'url' must be a string",
      ['{"url":"ftp://127.0.0.1/"}'] = "http",
    }) do
      local status, answer = example:post("/webhooks", body)
      assert.equal(400, status)
      assert.truthy(answer:find(wanted, 1, true), answer)
    end
    assert.equal(405, (example:get("/jobs")))
    assert.equal(405, (example:get("/webhooks")))
    for _, query in ipairs({ "limit=0", "limit=101", "limit=x", "limit=1.5", "limit=1&limit=2", "status=done", "status", "event" }) do
      assert.equal(400, (example:get("/log?" .. query)), query)
    end
  end)

  it("goes on after a reload, with all that was before", function()
    post_job("before")
    local before = received("before")
    logged(before.id)
    local old = example.process:children()
    assert.equal(2, #old)
    example.process:kill("HUP")
    wait.for_condition("new workers to be alone", 20, function()
      local now = example.process:children()
      return #now == 2 and now[1] ~= old[1] and now[1] ~= old[2] and now[2] ~= old[1] and now[2] ~= old[2]
    end)
    post_job("after")
    local after = received("after")
    logged(after.id)
    logged(before.id)
    assert.equal(2, #example:list("/log"))
  end)

  it("leaves nothing running when it quits", function()
    post_job("last")
    received("last")
    local workers = example.process:children()
    assert.equal(2, #workers)
    example.process:kill("QUIT")
    assert.equal(0, example.process:wait(20), example.process:output())
    for _, pid in ipairs(workers) do
      assert.is_nil(shell.read_file(("/proc/%d/stat"):format(pid)))
    end
    local port = example.url:match("%d+$")
    assert.is_nil((socket.connect("127.0.0.1", tonumber(port))))
  end)

  it("prints nothing but warnings of what it refused, and no secret", function()
    post_job("quiet")
    received("quiet")
    example:post("/hooks", "{}")
    example.process:kill("QUIT")
    example.process:wait(20)
    local lines = {}
    for line in example.process:output():gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    assert.equal(1, #lines, table.concat(lines, "\n"))
    assert.truthy(lines[1]:find("a standard webhook was refused: the header webhook-signature is missing or empty", 1, true))
  end)
end)

local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local raises = require("spec.support.raises")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local webhook = require("webhook")
local with = require("spec.support.with")

local CHILD_SECONDS = 60

local function cannot_open(path)
  local hooks, message, code = webhook.open(path)
  assert.is_nil(hooks)
  assert.is_string(message)
  assert.is_string(code)
  return message
end

describe("webhook.open", function()
  it("refuses unknown options and wrong types", function()
    raises("unknown option 'conections' (did you mean 'connections'?)", function()
      local hooks = webhook.open(":memory:", { conections = 1 })
      hooks:close()
    end)
    for name, value in pairs({
      timeout = "15", connections = 1.5, close_timeout = false, retry = true, user_agent = 7, allow_networks = "127.0.0.0/8",
      max_response_body = -1, lease = 0,
    }) do
      raises(("option '%s' must be"):format(name), function()
        local hooks = webhook.open(":memory:", { [name] = value })
        hooks:close()
      end)
    end
    raises("a path expected", function()
      local hooks = webhook.open()
      hooks:close()
    end)
  end)

  it("refuses a network that is none", function()
    for _, network in ipairs({ "127.0.0.0/33", "nowhere", "", "::1/129" }) do
      local hooks, message = webhook.open(":memory:", { allow_networks = { network } })
      assert.is_nil(hooks)
      assert.truthy(message:find("'" .. network .. "'", 1, true), message)
    end
  end)

  it("refuses a path in a missing folder and a folder as a path", function()
    temp.with_folder(function(folder)
      cannot_open(folder .. "/missing/webhooks.db")
      cannot_open(folder)
      assert.equal("", shell.check("ls -A " .. shell.quote(folder)))
    end)
  end)

  it("leaves a file that is no database as it is", function()
    temp.with_folder(function(folder)
      local path = folder .. "/webhooks.db"
      for _, garbage in ipairs({ ("garbage\0\1\255"):rep(1000), "short", "SQLite format 3\0" .. ("x"):rep(5000) }) do
        shell.write_file(path, garbage)
        cannot_open(path)
        assert.is_true(garbage == shell.read_file(path))
      end
    end)
  end)

  it("refuses a database that cannot be written", function()
    if shell.check("id -u"):match("%d+") == "0" then
      return pending("root may write anything")
    end
    temp.with_folder(function(folder)
      local path = folder .. "/webhooks.db"
      assert(webhook.open(path)):close()
      shell.check("chmod 400 " .. shell.quote(path))
      cannot_open(path)
    end)
  end)
end)

describe("emit", function()
  local hooks

  before_each(function()
    hooks = assert(webhook.open(":memory:"))
  end)

  after_each(function()
    hooks:close(0)
  end)

  it("names an unknown event", function()
    local message, problem, code = hooks:emit({ event = "job_finishd", data = {} })
    assert.is_nil(message)
    assert.truthy(problem:find("unknown event 'job_finishd' (did you mean 'job_finished'?)", 1, true), problem)
    assert.equal("invalid_event", code)
  end)

  it("refuses what is no event at the caller's line", function()
    raises("event.data must be a table", function()
      hooks:emit({ event = "job_finished" })
    end)
    for _, bad in ipairs({ "job_finished", 7, {}, { event = 7, data = {} } }) do
      raises("an event { event = name, data = {…} } expected", function()
        hooks:emit(bad)
      end)
    end
    raises("unknown option 'durabel' (did you mean 'durable'?)", function()
      hooks:emit({ event = "job_finished", data = {} }, { durabel = true })
    end)
    raises("emit_all: a list of events expected", function()
      hooks:emit_all("x")
    end)
  end)

  it("stores all of a list or nothing", function()
    assert(hooks.webhooks:create({ name = "x", url = "https://example.invalid/", events = { "*" } }))
    local good = webhook.events.job_finished({ id = "1" })
    local list, message, code = hooks:emit_all({ good, { event = "job_finished", data = { x = print } }, good })
    assert.is_nil(list)
    assert.equal("event 2: data.x: cannot encode a function", message)
    assert.equal("invalid_event", code)
    assert.equal(0, #hooks.log)
    assert.equal(2, #assert(hooks:emit_all({ good, good })))
  end)

  it("is a clear error after close, at the caller's line", function()
    hooks:close()
    raises("closed dispatcher", function()
      hooks:emit(webhook.events.job_finished({ id = "1" }))
    end)
    assert.is_true(hooks:close())
  end)
end)

describe("a full disk", function()
  it("is an error of emit, and loses nothing that was stored", function()
    temp.with_folder(function(folder)
      local path = folder .. "/webhooks.db"
      local output, errors = with(process.spawn({
        "sh", "-c", [[ulimit -f 2000; trap "" XFSZ; exec "$1" spec/support/full_disk_child.lua "$2"]], "sh",
        flavour.interpreter, path,
      }, { env = process.lua_environment() }), function(child)
        assert.equal(0, child:wait(CHILD_SECONDS), child:output())
        return child:stdout(), child:stderr()
      end)
      local code, problem = output:match("refused\t(%S+)\t([^\n]+)\n")
      assert.equal("full", code, output:sub(-500) .. errors)
      assert.is_true(#problem > 0)

      with(assert(webhook.open(path, { retry = false })), function(hooks)
        local logged, stored = {}, 0
        for _, delivery in hooks.log:each() do
          logged[assert(delivery.request_body:match('"id":"n(%d+)"'))] = true
        end
        for number in output:gmatch("stored\t(%d+)\n") do
          stored = stored + 1
          assert.is_true(logged[number], "lost: " .. number)
        end
        assert.is_true(stored > 0)
        assert(hooks:emit(webhook.events.job_finished({ id = "afterwards" })))
      end)
    end)
  end)
end)

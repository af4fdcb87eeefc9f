-- Replays: a webhook that was accepted once is refused the second time.
local process = require("spec.support.process")
local raises = require("spec.support.raises")
local samples = require("spec.support.samples")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local webhook = require("webhook")

local NOW = samples.NOW

-- A stand-in for lua_shared_dict (github.com/openresty/lua-nginx-module, ngx.shared.DICT.safe_add).
local function shared_dict()
  local dict = { values = {}, ttls = {} }
  function dict:safe_add(key, value, ttl)
    if self.full then
      return nil, "no memory", false
    end
    if self.values[key] ~= nil then
      return false, "exists", false
    end
    self.values[key], self.ttls[key] = value, ttl
    return true, nil, false
  end
  function dict:delete(key)
    self.values[key] = nil
  end
  return dict
end

describe("a store of what was seen", function()
  local folder

  setup(function()
    samples.load()
    folder = temp.folder()
  end)

  teardown(function()
    folder:remove()
  end)

  local database = 0
  local makers = {
    memory = function()
      return webhook.seen.memory({ max = 1000 })
    end,
    shared = function()
      return webhook.seen.shared(shared_dict())
    end,
    sqlite = function()
      database = database + 1
      return assert(webhook.seen.sqlite(folder:file(("seen%d.db"):format(database))))
    end,
  }

  for name, make in pairs(makers) do
    describe(name, function()
      it("takes an id once", function()
        local seen = make()
        assert.is_true(seen:add("one", 60))
        assert.is_false(seen:add("one", 60))
        assert.is_true(seen:add("two", 60))
        assert.is_false(seen:add("one", 60))
        assert.is_false(seen:add("two", 60))
      end)

      it("takes any bytes as an id", function()
        local seen = make()
        for _, id in ipairs({ "", "\0", "\0\0", "a\0b", "a\0c", "\255\254", "'; DROP TABLE seen; --", ("x"):rep(10000), "1", "1.0" }) do
          assert.is_true(seen:add(id, 60), ("%q"):format(id:sub(1, 40)))
        end
        for _, id in ipairs({ "", "\0", "a\0b", "a\0c", "\255\254", ("x"):rep(10000), "1.0" }) do
          assert.is_false(seen:add(id, 60), ("%q"):format(id:sub(1, 40)))
        end
      end)

      it("forgets an id that is removed, and no other", function()
        local seen = make()
        for number = 1, 100 do
          assert.is_true(seen:add("id" .. number, number % 10 + 60))
        end
        for number = 1, 100, 3 do
          assert.is_true(seen:remove("id" .. number))
        end
        assert.is_true(seen:remove("never added"))
        for number = 1, 100 do
          assert.equal(number % 3 == 1, seen:add("id" .. number, 60))
        end
      end)

      for _, kind in ipairs(samples.kinds) do
        it("refuses the second use of a webhook: " .. kind.name, function()
          local seen = make()
          local headers = samples.headers_of(kind)
          local options = samples.options_of(kind, { seen = seen, now = kind.timestamped and os.time() or nil })
          if kind.timestamped then
            headers = samples.sign(kind, { timestamp = os.time() })
          end
          local ok, reason = webhook.verify(kind.scheme, kind.secret, headers, kind.body, options)
          assert.is_true(ok, reason)
          for _ = 1, 2 do
            local code
            ok, reason, code = webhook.verify(kind.scheme, kind.secret, headers, kind.body, options)
            assert.is_nil(ok)
            assert.is_string(reason)
            assert.equal("replayed", code)
          end
        end)

        it("does not remember what was refused: " .. kind.name, function()
          local seen = make()
          local options = samples.options_of(kind, { seen = seen })
          local bad = samples.headers_of(kind)
          local value = bad[kind.signature_header]
          bad[kind.signature_header] = value:sub(1, 10) .. (value:sub(11, 11) == "0" and "1" or "0") .. value:sub(12)
          assert.is_nil((webhook.verify(kind.scheme, kind.secret, bad, kind.body, options)))
          assert.is_true(webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, options))
        end)
      end
    end)
  end

  it("is given an id and a time to live that outlasts the tolerance", function()
    local kind = samples["standard v1"]
    local calls = {}
    local own = {}
    function own.add(self, id, ttl)
      assert.equal(own, self)
      calls[#calls + 1] = { id, ttl }
      return true
    end
    for _, now in ipairs({ NOW - 300, NOW, NOW + 300 }) do
      local options = samples.options_of(kind, { seen = own, now = now })
      assert.is_true(webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, options))
      local id, ttl = table.unpack(calls[#calls])
      assert.is_string(id)
      -- As long as verify would take the same bytes again.
      assert.is_true(now + ttl > NOW + 300, "ttl " .. ttl)
    end
    assert.equal(calls[1][1], calls[2][1])
    assert.equal(calls[1][1], calls[3][1])
  end)

  it("knows a webhook again after its signatures were put in another order, or some were taken out", function()
    for _, name in ipairs({ "standard v1", "stripe" }) do
      local kind = samples[name]
      local other = name == "stripe" and "other" or "whsec_" .. samples.base64(("o"):rep(24))
      local headers = assert(webhook.sign(kind.scheme, { kind.secret, other }, kind.body, { id = kind.id, timestamp = NOW }))
      local options = samples.options_of(kind, { seen = webhook.seen.memory({ max = 10 }) })
      assert.is_true(webhook.verify(kind.scheme, { kind.secret, other }, headers, kind.body, options))
      local ok, _, code = webhook.verify(kind.scheme, { kind.secret, other }, samples.headers_of(kind), kind.body, options)
      assert.is_nil(ok)
      assert.equal("replayed", code)
    end
  end)

  it("keeps schemes apart", function()
    local seen = webhook.seen.memory({ max = 10 })
    for _, name in ipairs({ "standard v1", "svix", "capawesome", "github", "shopify" }) do
      local kind = samples[name]
      local ok, reason =
        webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, samples.options_of(kind, { seen = seen }))
      assert.is_true(ok, reason)
    end
  end)

  it("says so when it cannot answer, and lets nothing through", function()
    local kind = samples.github
    local dict = shared_dict()
    dict.full = true
    local broken = { add = function() return nil, "the disk is gone" end }
    for _, seen in ipairs({ webhook.seen.shared(dict), broken }) do
      local ok, reason, code =
        webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, { seen = seen })
      assert.is_nil(ok)
      assert.is_string(reason)
      assert.is_string(code)
      assert.not_equal("replayed", code)
    end
  end)

  it("needs a store that can add", function()
    local kind = samples.github
    for _, seen in ipairs({ {}, 7, { add = true } }) do
      raises("seen", function()
        webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, { seen = seen })
      end)
    end
  end)
end)

describe("the store in memory", function()
  local function at(clock, max)
    return webhook.seen.memory({
      max = max or 100,
      clock = function()
        return clock.now
      end,
    })
  end

  it("takes no more than its bound: forgetting an id would let it be replayed", function()
    local clock = { now = 1000 }
    local seen = at(clock)
    for number = 1, 100 do
      assert.is_true(seen:add("id" .. number, 3600))
    end
    local new, reason, code = seen:add("one more", 3600)
    assert.is_nil(new)
    assert.is_string(reason)
    assert.equal("full", code)
    for number = 1, 100 do
      assert.is_false(seen:add("id" .. number, 3600))
    end
    clock.now = 1000 + 3600
    assert.is_true(seen:add("one more", 3600))
  end)

  it("refuses a webhook when it is full", function()
    local seen = webhook.seen.memory({ max = 1 })
    assert.is_true(seen:add("x", 60))
    local kind = samples.github
    local ok, reason, code =
      webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, { seen = seen })
    assert.is_nil(ok)
    assert.is_string(reason)
    assert.equal("full", code)
  end)

  it("takes an id again once its time is over or it is removed, whatever the order of the times", function()
    math.randomseed(3)
    local clock = { now = 0 }
    local seen, ends = at(clock, 1000), {}
    for _ = 1, 20000 do
      clock.now = clock.now + math.random(0, 2)
      local gone = "id" .. math.random(500)
      assert.is_true(seen:remove(gone))
      ends[gone] = nil
      local id, ttl = "id" .. math.random(500), math.random(1, 300)
      local wanted = not ends[id] or ends[id] <= clock.now
      assert.equal(wanted, seen:add(id, ttl))
      if wanted then
        ends[id] = clock.now + ttl
      end
    end
  end)

  it("does not grow with what it has forgotten", function()
    local clock = { now = 0 }
    local seen = at(clock)
    local function fill(from, to)
      for number = from, to do
        clock.now = clock.now + 1
        assert.is_true(seen:add(("id%08d"):format(number), 90))
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    fill(1, 20000)
    local before = fill(20001, 40000)
    local after = fill(40001, 100000)
    assert.is_true(after - before < 64, ("%g KB more"):format(after - before))
  end)

  it("has the places again that were removed", function()
    local seen = at({ now = 0 }, 3)
    for _ = 1, 100 do
      for number = 1, 3 do
        assert.is_true(seen:add("id" .. number, 60 + number))
      end
      assert.is_nil((seen:add("one more", 60)))
      for _, number in ipairs({ 2, 1, 3 }) do
        assert.is_true(seen:remove("id" .. number))
      end
    end
  end)

  it("needs a bound that is a number", function()
    for _, max in ipairs({ 0, -1, 1.5, "x", false }) do
      raises("max", function()
        webhook.seen.memory({ max = max })
      end)
    end
    raises("mox", function()
      webhook.seen.memory({ mox = 1 })
    end)
  end)
end)

describe("the store in SQLite", function()
  local CHILD = [[
    local webhook = require("webhook")
    local seen = assert(webhook.seen.sqlite(arg[1]))
    -- Both processes begin at the same moment, so that they meet at every id.
    local socket = require("socket")
    while socket.gettime() < tonumber(arg[2]) do end
    for number = 1, 200 do
      local new, problem = seen:add("id" .. number, 60)
      assert(new ~= nil, problem)
      if new then print(number) end
    end
  ]]

  it("lets one of two processes take each id, and never both or neither", function()
    temp.with_folder(function(_, folder)
      shell.write_file(folder:file("child.lua"), CHILD)
      local start = tostring(require("socket").gettime() + 1)
      local children = {}
      for index = 1, 2 do
        children[index] = process.start(folder:file("child.lua"), { args = { folder:file("seen.db"), start } })
      end
      local winners = {}
      for index, child in ipairs(children) do
        assert.equal(0, child:wait(60), child:output())
        for number in child:stdout():gmatch("%d+") do
          assert.is_nil(winners[number], "both took " .. number)
          winners[number] = index
        end
      end
      for number = 1, 200 do
        assert.is_truthy(winners[tostring(number)], "none took " .. number)
      end
      for _, child in ipairs(children) do
        child:close()
      end
    end)
  end)

  it("remembers after it was opened again", function()
    temp.with_folder(function(_, folder)
      local seen = assert(webhook.seen.sqlite(folder:file("seen.db")))
      assert.is_true(seen:add("id", 60))
      seen:close()
      seen = assert(webhook.seen.sqlite(folder:file("seen.db")))
      assert.is_false(seen:add("id", 60))
    end)
  end)

  it("says so when it is closed", function()
    temp.with_folder(function(_, folder)
      local seen = assert(webhook.seen.sqlite(folder:file("seen.db")))
      seen:close()
      for _, method in ipairs({ "add", "remove" }) do
        local done, reason, code = seen[method](seen, "id", 60)
        assert.is_nil(done)
        assert.is_string(reason)
        assert.equal("closed", code)
      end
    end)
  end)

  it("takes an id again once its time is over", function()
    temp.with_folder(function(_, folder)
      local seen = assert(webhook.seen.sqlite(folder:file("seen.db")))
      assert.is_true(seen:add("short", 1))
      assert.is_true(seen:add("long", 60))
      os.execute("sleep 2.1")
      assert.is_true(seen:add("short", 1))
      assert.is_false(seen:add("long", 60))
    end)
  end)

  it("says that it cannot open a file", function()
    local seen, reason, code = webhook.seen.sqlite("/nonexistent/folder/seen.db")
    assert.is_nil(seen)
    assert.is_string(reason)
    assert.is_string(code)
  end)
end)

-- Secrets at rest: what stands in the files, who can read it, and what goes on when somebody cannot.
local flavour = require("spec.support.flavour")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local KEY = "0123456789abcdef\0\255fedcba98765432" -- any 32 bytes
local NEW_KEY = ("n"):rep(32)
local OTHER_KEY = ("o"):rep(32)
local SECRET = "tell-nobody-the-secret"
local TOKEN = "tell-nobody-the-token"

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

describe("an encrypted database", function()
  local receiver, folder, open_ones

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    open_ones = {}
  end)

  after_each(function()
    for _, hooks in ipairs(open_ones) do
      hooks:close(0)
    end
    folder:remove()
  end)

  local function try(options)
    local all = { allow_networks = sample.LOCAL, retry = false }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    local hooks, message, code = webhook.open(folder:file("webhooks.db"), all)
    open_ones[#open_ones + 1] = hooks
    return hooks, message, code
  end

  local function open(options)
    return assert(try(options))
  end

  -- Its URL holds a token, as those of Slack, Discord and Teams do.
  local function hook_to(hooks, path, fields)
    local all = { signing_secret = SECRET }
    for name, value in pairs(fields or {}) do
      all[name] = value
    end
    return sample.hook(hooks, receiver.url .. path .. "?" .. TOKEN, all)
  end

  local function is_signed(path, secret)
    local request = receiver:last(path)
    local ok, why = webhook.verify("capawesome", secret or SECRET, request.headers, request.body)
    assert.is_true(ok, tostring(why))
  end

  local function names_of(hooks, filter)
    local names = {}
    for i, hook in ipairs(assert(hooks.webhooks:list(filter))) do
      names[i] = hook.name
    end
    return names
  end

  local function bytes_on_disk()
    local all = {}
    for _, ending in ipairs({ "", "-wal", "-shm" }) do
      all[#all + 1] = shell.read_file(folder:file("webhooks.db" .. ending)) or ""
    end
    return table.concat(all)
  end

  local function on_disk(text)
    return bytes_on_disk():find(text, 1, true) ~= nil
  end

  -- Nothing that anybody should keep to himself.
  local function discreet(message)
    for _, secret in ipairs({ KEY, NEW_KEY, OTHER_KEY, hex(KEY), hex(NEW_KEY), SECRET, TOKEN, "v1:" }) do
      assert.is_nil(message:find(secret, 1, true), message)
    end
    return message
  end

  local function refused(code, what, result, message, got)
    assert.is_nil(result)
    assert.equal(code, got, message)
    assert.truthy(message:find(what, 1, true), message)
    discreet(message)
  end

  local function logger(records)
    return function(record) records[#records + 1] = record end
  end

  local function told(records, event)
    local found = {}
    for _, record in ipairs(records) do
      if record.event == event then
        found[#found + 1] = record
      end
    end
    return found
  end

  describe("on disk", function()
    it("shows them where no key is given", function()
      hook_to(open(), "/ok")
      assert.is_true(on_disk(SECRET))
      assert.is_true(on_disk(TOKEN))
    end)

    it("shows no secret and no URL, in any file, while it is open and afterwards", function()
      local hooks = open({ encryption_key = KEY })
      local hook = hook_to(hooks, "/ok")
      sample.deliver(hooks)
      is_signed("/ok")
      assert(hooks.webhooks:update(hook.id, { signing_secret = SECRET .. "-2", url = receiver.url .. "/status/500?" .. TOKEN }))
      assert.equal("failed", sample.deliver(hooks).status)
      is_signed("/status/500", SECRET .. "-2")
      assert.is_true(on_disk("job_finished")) -- those are the right files
      assert.is_false(on_disk(SECRET))
      assert.is_false(on_disk(TOKEN))
      assert(hooks:close())
      assert.is_false(on_disk(SECRET))
      assert.is_false(on_disk(TOKEN))
      assert.is_false(on_disk(KEY))
      hooks = open({ encryption_key = KEY })
      assert.equal(receiver.url .. "/status/500?" .. TOKEN, hooks.webhooks:get(hook.id).url)
    end)

    it("shows nothing of what was there before it was encrypted, deleted webhooks and changed secrets neither", function()
      local hooks = open()
      local kept = {}
      for i = 1, 60 do
        local hook = hook_to(hooks, "/ok", { name = ("n"):rep(i), signing_secret = SECRET .. ("s"):rep(i * 8) })
        if i % 3 == 0 then
          assert(hooks.webhooks:delete(hook.id))
        elseif i % 3 == 1 then
          assert(hooks.webhooks:update(hook.id, { signing_secret = SECRET .. "-changed" }))
          kept[#kept + 1] = hook
        else
          assert(hooks.webhooks:update(hook.id, { signing_secret = false, url = "http://127.0.0.1:9/" }))
        end
      end
      assert(hooks:close())
      assert.is_true(on_disk(SECRET))
      hooks = open({ encryption_key = KEY })
      for _ = 1, 2 do
        assert.is_false(on_disk(SECRET))
        assert.is_false(on_disk(TOKEN))
        assert(hooks:close())
        hooks = open({ encryption_key = KEY })
      end
      assert.equal(40, #hooks.webhooks:list())
      for _, hook in ipairs(kept) do
        assert.equal(hook.url, hooks.webhooks:get(hook.id).url)
      end
    end)

    it("keeps everything in memory too", function()
      local hooks = assert(webhook.open(":memory:", { encryption_key = KEY, allow_networks = sample.LOCAL }))
      open_ones[1] = hooks
      hook_to(hooks, "/ok")
      sample.deliver(hooks)
      is_signed("/ok")
    end)
  end)

  describe("and its key", function()
    it("is 32 bytes, or 64 hex digits in any case", function()
      local hook = hook_to(open({ encryption_key = KEY }), "/ok")
      for _, key in ipairs({ KEY, hex(KEY), hex(KEY):upper() }) do
        assert.equal(hook.url, open({ encryption_key = key }).webhooks:get(hook.id).url)
      end
    end)

    it("is nothing else", function()
      for _, key in ipairs({ "", KEY:sub(2), KEY .. "x", hex(KEY):sub(2), hex(KEY):gsub("^.", "g"), hex(KEY) .. "0" }) do
        refused("invalid", "encryption_key: must be 32 bytes or 64 hex digits", try({ encryption_key = key }))
        refused("invalid", "old_encryption_keys: must be", try({ encryption_key = KEY, old_encryption_keys = { key } }))
      end
      refused("invalid", "needs an encryption_key", try({ old_encryption_keys = { KEY } }))
      local nine = {}
      for i = 1, 9 do
        nine[i] = ("%032d"):format(i)
      end
      refused("invalid", "more than 8", try({ encryption_key = KEY, old_encryption_keys = nine }))
      table.remove(nine)
      open({ encryption_key = KEY, old_encryption_keys = nine })
    end)

    it("is of the right type, or an error at the caller's line that does not show it", function()
      discreet(raises("option 'encryption_key' must be string, got number", function()
        webhook.open("x.db", { encryption_key = 7 })
      end))
      discreet(raises("option 'old_encryption_keys' must be list, got string", function()
        webhook.open("x.db", { encryption_key = KEY, old_encryption_keys = NEW_KEY })
      end))
      discreet(raises("old_encryption_keys[2] must be a string, got boolean", function()
        webhook.open("x.db", { encryption_key = KEY, old_encryption_keys = { NEW_KEY, true } })
      end))
    end)

    it("is not kept by anything that Lua can see", function()
      local hooks = open({ encryption_key = KEY, old_encryption_keys = { NEW_KEY }, logger = function() end })
      local seen = {}
      local function look(value)
        if type(value) == "string" then
          discreet(value)
        elseif type(value) == "table" and not seen[value] then
          seen[value] = true
          for name, field in pairs(value) do
            look(name)
            look(field)
          end
        end
      end
      look(hooks)
      look({ tostring(hooks), tostring(hooks.webhooks), tostring(hooks.log) })
    end)

    it("is asked for, and has to be the right one", function()
      local hooks = open({ encryption_key = KEY })
      local hook = hook_to(hooks, "/ok")
      refused("key", "the database is encrypted: give encryption_key", try())
      refused("key", "encrypted under another key", try({ encryption_key = OTHER_KEY }))
      refused("key", "encrypted under another key",
        try({ encryption_key = OTHER_KEY, old_encryption_keys = { NEW_KEY } }))
      assert.equal(hook.url, open({ encryption_key = KEY }).webhooks:get(hook.id).url)
    end)
  end)

  describe("does what a plain one does:", function()
    it("search, change, rotate, disable, delete", function()
      local hooks = open({ encryption_key = KEY })
      local first = hook_to(hooks, "/ok", { name = "100% sure" })
      local second = sample.hook(hooks, "https://other.invalid/Path", { name = "second", enabled = false })
      local third = sample.hook(hooks, "https://other.invalid/a_b", { name = "third" })
      assert.same({ "100% sure" }, names_of(hooks, { query = TOKEN:upper() }))
      assert.same({ "second", "third" }, names_of(hooks, { query = "other.INVALID" }))
      assert.same({ "third" }, names_of(hooks, { query = "OTHER.invalid/", offset = 1 }))
      assert.same({ "second" }, names_of(hooks, { query = "invalid", limit = 1 }))
      assert.same({ "third" }, names_of(hooks, { query = "a_b" }))
      assert.same({ "100% sure" }, names_of(hooks, { query = "%" }))
      assert.same({}, names_of(hooks, { query = SECRET }))
      assert.same({}, names_of(hooks, { query = "v1:" }))
      assert(hooks.webhooks:delete(third.id))
      assert.equal(second.url, hooks.webhooks:get(second.id).url)

      local old, new = webhook.generate_secret(), webhook.generate_secret()
      assert(hooks.webhooks:update(first.id, { signing_secret = old, signing = "standard" }))
      assert(hooks.webhooks:rotate_secret(first.id, new))
      assert(hooks:close())
      assert.is_false(on_disk(old:sub(7)))
      assert.is_false(on_disk(new:sub(7)))
      hooks = open({ encryption_key = KEY })
      sample.deliver(hooks)
      local request = receiver:last("/ok")
      assert.is_true(webhook.verify("standard", old, request.headers, request.body))
      assert.is_true(webhook.verify("standard", new, request.headers, request.body))

      assert(hooks.webhooks:update(first.id, { enabled = false }))
      assert.equal(0, hooks:emit(sample.job_finished()).deliveries)
      assert(hooks.webhooks:update(first.id, { enabled = true }))
      sample.deliver(hooks)
    end)

    it("several dispatchers at a time", function()
      local one, two = open({ encryption_key = KEY }), open({ encryption_key = KEY })
      local hook = hook_to(one, "/ok")
      assert.equal(hook.url, two.webhooks:get(hook.id).url)
      sample.deliver(two)
      is_signed("/ok")
      assert(two.webhooks:update(hook.id, { signing_secret = SECRET .. "-2" }))
      sample.deliver(one)
      is_signed("/ok", SECRET .. "-2")
    end)
  end)

  describe("whose key is changed", function()
    it("opens with the new one alone from then on", function()
      local hooks = open({ encryption_key = KEY })
      local hook = hook_to(hooks, "/ok")
      assert(hooks:close())
      hooks = open({ encryption_key = NEW_KEY, old_encryption_keys = { OTHER_KEY, hex(KEY) } })
      sample.deliver(hooks)
      is_signed("/ok")
      assert(hooks:close())
      refused("key", "encrypted under another key", try({ encryption_key = KEY }))
      hooks = open({ encryption_key = NEW_KEY })
      assert.equal(hook.url, hooks.webhooks:get(hook.id).url)
      sample.deliver(hooks)
      is_signed("/ok")
      assert.is_false(on_disk(SECRET))
      assert.is_false(on_disk(TOKEN))
    end)

    it("is still served by who has only the old one, who can change no webhook", function()
      local records = {}
      local old = open({ encryption_key = KEY, logger = logger(records) })
      local hook = hook_to(old, "/ok")
      local new = open({ encryption_key = NEW_KEY, old_encryption_keys = { KEY } })
      assert(new:close())
      sample.deliver(old)
      is_signed("/ok")
      refused("key", hook.id, old.webhooks:get(hook.id))
      refused("key", "key was changed since it was opened", old.webhooks:create({ name = "n", url = hook.url, events = { "*" } }))
      refused("key", hook.id, old.webhooks:rotate_secret(hook.id, "another"))
      local listed = assert(old.webhooks:list())[1]
      assert.is_nil(listed.url)
      assert.equal("webhook " .. hook.id .. ": its url cannot be decrypted: it is encrypted under another key",
        listed.problem)
      sample.deliver(old)
      assert.equal(2, receiver:total("/ok"))
      local unreadable = told(records, "webhooks_unreadable")
      assert.equal(1, #unreadable)
      assert.equal(hook.id, unreadable[1].webhook_id)
      assert.equal(1, unreadable[1].count)
      discreet(unreadable[1].message)
      assert.same({}, told(records, "store_failed"))
    end)

    it("loses nothing of what those emit who cannot read a webhook any more", function()
      local old = open({ encryption_key = KEY })
      local hook = hook_to(old, "/ok")
      local new = open({ encryption_key = NEW_KEY, old_encryption_keys = { KEY } })
      assert(new.webhooks:update(hook.id, { url = receiver.url .. "/status/201?" .. TOKEN, signing_secret = SECRET .. "-2" }))
      local added = hook_to(new, "/status/202")
      local message = assert(old:emit(sample.job_finished()))
      assert.equal(2, message.deliveries)
      wait.for_condition("both deliveries by the one with the key", 30, function()
        return new.log:where({ status = "succeeded" }):count() == 2
      end)
      is_signed("/status/201", SECRET .. "-2")
      is_signed("/status/202")
      assert.equal(0, receiver:total("/ok"))
      assert(new.webhooks:delete(added.id))
      assert.equal(0, old.log:where({ status = "canceled" }):count())
    end)

    it("is still served by who opened it without one, before", function()
      local plain = open()
      local hook = hook_to(plain, "/ok")
      local sealed = open({ encryption_key = KEY })
      sample.deliver(plain)
      is_signed("/ok")
      refused("key", "was encrypted since it was opened", plain.webhooks:get(hook.id))
      refused("key", "nothing is written", plain.webhooks:create({ name = "n", url = hook.url, events = { "*" } }))
      assert(sealed.webhooks:update(hook.id, { url = receiver.url .. "/status/201?" .. TOKEN }))
      assert(plain:emit(sample.job_finished()))
      wait.for_condition("the delivery by the one with the key", 30, function()
        return receiver:total("/status/201") == 1
      end)
      assert(plain:close())
      assert(sealed:close())
      assert.is_false(on_disk(SECRET))
      assert.is_false(on_disk(TOKEN))
    end)
  end)

  describe("that somebody wrote into", function()
    -- Copies the sealed URL of the first webhook in the file over that of the second, all of the same length.
    local function copy_url(length)
      local path = folder:file("webhooks.db")
      local bytes = shell.read_file(path)
      local sealed_length = 3 + math.ceil((36 + length) / 3) * 4
      local places = {}
      local at = bytes:find("v1:", 1, true)
      while at do
        places[#places + 1] = at
        at = bytes:find("v1:", at + 1, true)
      end
      assert(#places == 2, #places .. " sealed URLs")
      local stolen = bytes:sub(places[1], places[1] + sealed_length - 1)
      bytes = bytes:sub(1, places[2] - 1) .. stolen .. bytes:sub(places[2] + sealed_length)
      shell.write_file(path, bytes)
    end

    it("says which webhook it was, serves the others, and cancels nothing", function()
      local hooks = open({ encryption_key = KEY })
      local one = sample.hook(hooks, receiver.url .. "/ok?1" .. TOKEN, { name = "one" })
      local two = sample.hook(hooks, receiver.url .. "/ok?2" .. TOKEN, { name = "two" })
      assert(hooks:close())
      copy_url(#one.url)
      local records = {}
      hooks = open({ encryption_key = KEY, logger = logger(records) })
      local damaged, whole = one, two
      if hooks.webhooks:get(one.id) then
        damaged, whole = two, one
      end
      assert.equal(whole.url, hooks.webhooks:get(whole.id).url)
      local what = "webhook " .. damaged.id .. ": its url cannot be decrypted: it was changed, or copied from another place"
      refused("key", what, hooks.webhooks:get(damaged.id))
      refused("key", what, hooks.webhooks:update(damaged.id, { name = "new" }))
      refused("key", what, hooks.webhooks:rotate_secret(damaged.id, "a-secret"))
      for _, hook in ipairs(assert(hooks.webhooks:list())) do
        assert.equal(hook.id == damaged.id and what or nil, hook.problem)
        assert.equal(hook.id == whole.id and whole.url or nil, hook.url)
      end
      assert.same({ damaged.name }, names_of(hooks, { query = damaged.name }))
      assert.same({ whole.name }, names_of(hooks, { query = TOKEN }))

      local message = assert(hooks:emit(sample.job_finished()))
      assert.equal(2, message.deliveries)
      wait.for_condition("the other's delivery", 10, function()
        return hooks.log:where({ status = "succeeded" }):count() == 1
      end)
      assert(hooks:emit(sample.job_finished()))
      wait.for_condition("the other's next delivery", 10, function()
        return hooks.log:where({ status = "succeeded" }):count() == 2
      end)
      assert.equal(2, hooks.log:where({ webhook_id = damaged.id, status = "pending" }):count())
      assert.equal(2, hooks:stats().due)
      assert.equal(2, receiver:total())
      assert.equal(1, #told(records, "webhooks_unreadable"))
      discreet(told(records, "webhooks_unreadable")[1].message)
      assert.is_true(hooks.webhooks:delete(damaged.id))
      assert.equal(2, hooks.log:where({ webhook_id = damaged.id, status = "canceled" }):count())
      assert.same({ whole.name }, names_of(hooks))
    end)

    it("keeps the others when its key is changed", function()
      local hooks = open({ encryption_key = KEY })
      local one = sample.hook(hooks, receiver.url .. "/ok?1" .. TOKEN, { name = "one" })
      sample.hook(hooks, receiver.url .. "/ok?2" .. TOKEN, { name = "two" })
      assert(hooks:close())
      copy_url(#one.url)
      assert(open({ encryption_key = NEW_KEY, old_encryption_keys = { KEY } }):close())
      hooks = open({ encryption_key = NEW_KEY })
      local whole = 0
      for _, hook in ipairs(assert(hooks.webhooks:list())) do
        if not hook.problem then
          whole = whole + 1
          assert.truthy(hook.url:find(TOKEN, 1, true))
        end
      end
      assert.equal(1, whole)
    end)
  end)

  if flavour.has_close then
    it("forgets its key when it is closed, also by the collector", function()
      for _ = 1, 20 do
        assert(webhook.open(folder:file("webhooks.db"), { encryption_key = KEY }))
        collectgarbage()
        collectgarbage()
      end
      refused("key", "give encryption_key", try())
    end)
  end
end)

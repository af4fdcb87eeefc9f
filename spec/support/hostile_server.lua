-- A receiver that misbehaves, on real sockets of the loopback: the path of a request names how. Behaviours that
-- need no request have a port of their own. Arguments: the process to end with, a file for the ports, and one with
-- the gzip bomb.
local shell = require("spec.support.shell")
local tasks = require("spec.support.tasks")

local PARENT, PORTS_FILE, BOMB = arg[1], arg[2], shell.read_file(arg[3])
local FOREVER_SECONDS = 3600
local HEADER_FLOOD = 100 * 1024 * 1024
local BLOCK = 64 * 1024

local read, sleep, write = tasks.read, tasks.sleep, tasks.write

local function read_head(client)
  local text = ""
  while not text:find("\r\n\r\n", 1, true) do
    local more = read(client)
    if not more then
      return nil
    end
    text = text .. more
  end
  local head, rest = text:match("^(.-)\r\n\r\n(.*)$")
  return head, rest
end

local function read_body(client, head, rest)
  local left = tonumber(head:lower():match("content%-length: (%d+)") or 0) - #rest
  while left > 0 do
    local more = read(client)
    if not more then
      return nil
    end
    left = left - #more
  end
  return true
end

local function reset(client)
  client:setoption("linger", { on = true, timeout = 0 })
  client:close()
end

local function repeat_until_gone(client, bytes, total)
  local sent = 0
  while sent < (total or math.huge) and write(client, bytes) do
    sent = sent + #bytes
  end
end

local function read_until_gone(client)
  repeat
    local more = read(client)
  until not more
end

-- What is sent at once, before the connection is closed.
local answers = {
  length_too_long = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.",
  length_twice = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
  length_negative = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
  length_word = "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
  length_beyond_numbers = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
  chunk_no_number = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
  chunk_beyond_numbers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
  chunk_cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nhello",
  chunk_no_end = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  http_09 = "hello",
  http_10 = "HTTP/1.0 200 OK\r\n\r\nhello",
  nothing = "",
  head_cut = "HTTP/1.1 200 OK\r\nContent-Le",
  garbage = "\0\1\2\3\255\254\r\n\r\n\0HTTP/1.1 200 OK\r\n\r\n",
  status_000 = "HTTP/1.1 000 None\r\nContent-Length: 5\r\n\r\nhello",
  status_99 = "HTTP/1.1 99 Low\r\nContent-Length: 5\r\n\r\nhello",
  status_600 = "HTTP/1.1 600 High\r\nContent-Length: 5\r\n\r\nhello",
  status_999 = "HTTP/1.1 999 Highest\r\nContent-Length: 5\r\n\r\nhello",
  status_1000 = "HTTP/1.1 1000 Higher\r\nContent-Length: 5\r\n\r\nhello",
  status_2000 = "HTTP/1.1 2000 Twice\r\nContent-Length: 5\r\n\r\nhello",
  status_word = "HTTP/1.1 yes\r\nContent-Length: 5\r\n\r\nhello",
  status_101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\nhello",
  version_9 = "HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  header_nul = "HTTP/1.1 200 OK\r\nX-Odd: a\0b\r\nContent-Length: 5\r\n\r\nhello",
  header_cr = "HTTP/1.1 200 OK\r\nX-Odd: a\rb\r\nContent-Length: 5\r\n\r\nhello",
  header_no_colon = "HTTP/1.1 200 OK\r\nX-Odd\r\nContent-Length: 5\r\n\r\nhello",
  header_bytes = "HTTP/1.1 200 OK\r\nX-Odd: \1\127\128\255\r\nContent-Length: 5\r\n\r\nhello",
}
for _, status in ipairs({ 301, 302, 303, 307, 308 }) do
  answers["redirect_" .. status] = ("HTTP/1.1 %d Elsewhere\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
    :format(status)
end

-- What is sent in other ways. The request has been read; the connection is closed afterwards.
local behaviours = {
  reset_after_request = reset,
  reset_in_body = function(client)
    write(client, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
    reset(client)
  end,
  stall_before_headers = read_until_gone,
  stall_in_headers = function(client)
    write(client, "HTTP/1.1 200 OK\r\nX-One: 1\r\n")
    read_until_gone(client)
  end,
  stall_after_headers = function(client)
    write(client, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    read_until_gone(client)
  end,
  trickle = function(client)
    write(client, "HTTP/1.1 200 OK\r\nContent-Length: 3600\r\n\r\n")
    while write(client, ".") do
      sleep(1)
    end
  end,
  trickle_headers = function(client)
    write(client, "HTTP/1.1 200 OK\r\nX-One: ")
    while write(client, ".") do
      sleep(1)
    end
  end,
  interim_trickle = function(client)
    while write(client, "HTTP/1.1 102 Processing\r\n\r\n") do
      sleep(0.1)
    end
  end,
  interim_endless = function(client)
    repeat_until_gone(client, "HTTP/1.1 100 Continue\r\n\r\n")
  end,
  interim_with_headers = function(client)
    repeat_until_gone(client, "HTTP/1.1 103 Early Hints\r\nX-One: 1\r\n\r\n")
  end,
  headers_100_mb = function(client)
    write(client, "HTTP/1.1 200 OK\r\n")
    repeat_until_gone(client, "X-Flood: " .. ("x"):rep(1000) .. "\r\n", HEADER_FLOOD)
  end,
  header_endless = function(client)
    write(client, "HTTP/1.1 200 OK\r\nX-Endless: ")
    repeat_until_gone(client, ("x"):rep(BLOCK))
  end,
  status_endless = function(client)
    write(client, "HTTP/1.1 200 ")
    repeat_until_gone(client, ("x"):rep(BLOCK))
  end,
  trailers_endless = function(client)
    write(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")
    repeat_until_gone(client, "X-Flood: " .. ("x"):rep(1000) .. "\r\n")
  end,
  trailer_endless = function(client)
    write(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Endless: ")
    repeat_until_gone(client, ("x"):rep(BLOCK))
  end,
  body_endless = function(client)
    write(client, "HTTP/1.1 200 OK\r\n\r\n")
    repeat_until_gone(client, ("x"):rep(BLOCK))
  end,
  chunks_endless = function(client)
    write(client, "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
    repeat_until_gone(client, "1\r\nx\r\n")
  end,
  gzip_bomb = function(client)
    write(client, ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"):format(#BOMB, BOMB))
  end,
}

-- Those that leave the connection open for the next request, which must not be told this one's rest.
local keeping = {
  fine = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  length_too_short = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
  second_answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n",
}

-- Those that do not wait for the body.
local hasty = {
  answer_before_body = function(client)
    write(client, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello")
  end,
  reads_nothing = function()
    sleep(FOREVER_SECONDS)
  end,
}

local function serve(client)
  while true do
    local head, rest = read_head(client)
    if not head then
      return
    end
    local name = head:match("^POST /([%w_]+)")
    if hasty[name] then
      return hasty[name](client)
    end
    if not read_body(client, head, rest) then
      return
    end
    if keeping[name] then
      write(client, keeping[name])
    elseif behaviours[name] then
      return behaviours[name](client)
    else
      return write(client, assert(answers[name], name))
    end
  end
end

local ports = {
  http = tasks.listen(serve),
  reset_after_accept = tasks.listen(reset),
  close_after_accept = tasks.listen(function() end),
  tls_stall = tasks.listen(read_until_gone),
  tls_close = tasks.listen(read),
  tls_reset = tasks.listen(function(client)
    read(client)
    reset(client)
  end),
  tls_garbage = tasks.listen(function(client)
    read(client)
    write(client, ("\255\0garbage"):rep(1000))
  end),
  tls_plain = tasks.listen(function(client)
    read(client)
    write(client, answers.http_10)
  end),
}

tasks.announce(ports, PORTS_FILE)
tasks.run_beside(PARENT)

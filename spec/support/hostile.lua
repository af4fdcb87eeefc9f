-- The hostile receiver (hostile_server.lua) and what has to be recorded of each thing it does.
local server = require("spec.support.server")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")

local hostile = {}

local BOMB_BYTES = 100 * 1000 * 1000 -- of zeros, in 100 KB of gzip
local MB = 1024 * 1024
local MAX_RESPONSE_BODY = 20000

local HELLO = { "200", body = "hello" }
local CUT = { "200", cut = true, body = ("x"):rep(MAX_RESPONSE_BODY) }

--- name -> the outcomes that are right: the status, or the error's word where there is no answer that counts. Some
-- depend on which side a reset reaches first, or on the libcurl.
-- body: what is kept of it; cut: whether it was cut; stalls: only the timeout ends it;
-- large: with a body that is not sent at once
hostile.behaviours = {
  fine = HELLO,

  reset_after_accept = { "reset", "connect" },
  close_after_accept = { "reset", "connect" },
  reset_after_request = { "reset" },
  reset_in_body = { "reset" },
  nothing = { "reset" },

  stall_before_headers = { "timeout", stalls = true },
  stall_in_headers = { "timeout", stalls = true },
  stall_after_headers = { "timeout", stalls = true },
  trickle = { "timeout", stalls = true },
  trickle_headers = { "timeout", stalls = true },
  reads_nothing = { "timeout", stalls = true, large = true },

  length_too_long = { "reset" },
  length_too_short = HELLO,
  length_twice = { "reset", "network" },
  length_negative = { "network" },
  length_word = { "network" },
  length_beyond_numbers = { "200", "network" },
  chunk_no_number = { "reset", "network" },
  chunk_beyond_numbers = { "reset", "network" },
  chunk_cut = { "reset" },
  chunk_no_end = { "reset" },

  answer_before_body = { "413", "reset", large = true },
  second_answer = HELLO,

  redirect_301 = { "301" },
  redirect_302 = { "302" },
  redirect_303 = { "303" },
  redirect_307 = { "307" },
  redirect_308 = { "308" },

  headers_100_mb = { "too_large" },
  header_endless = { "too_large" },
  status_endless = { "too_large" },
  trailers_endless = { "too_large" },
  trailer_endless = { "too_large", "reset" }, -- libcurl 7.88 has no code of its own for it
  body_endless = CUT,
  chunks_endless = { "500", cut = true, body = CUT.body },
  gzip_bomb = { "200", cut = true },

  interim_endless = { "too_large" },
  interim_with_headers = { "too_large" },
  interim_trickle = { "timeout", stalls = true },

  head_cut = { "reset" },
  http_09 = { "network" },
  http_10 = HELLO,
  garbage = { "network" },
  version_9 = { "network" },
  status_000 = { "network" },
  status_99 = { "network" },
  status_101 = { "101" },
  status_600 = { "600", body = "hello" },
  status_999 = { "999", body = "hello" },
  status_1000 = { "network" },
  status_2000 = { "network" },
  status_word = { "network" },
  header_nul = { "network" },
  header_cr = { "200", "network" },
  header_no_colon = { "network" },
  header_bytes = HELLO,

  tls_stall = { "timeout", stalls = true },
  tls_close = { "tls" },
  tls_reset = { "tls" },
  tls_garbage = { "tls" },
  tls_plain = { "tls" },
}

hostile.LARGE_BYTES = 2 * MB

local Hostile = {}
Hostile.__index = Hostile

function hostile.start()
  local self = setmetatable({ folder = temp.folder() }, Hostile)
  local bomb = self.folder:file("bomb.gz")
  shell.check(("head -c %d /dev/zero | gzip -9n >%s"):format(BOMB_BYTES, shell.quote(bomb)))
  self.bomb = shell.read_file(bomb):sub(1, MAX_RESPONSE_BODY)
  self.server = server.start("hostile_server", bomb)
  return self
end

function Hostile:url(name)
  local ports = self.server.ports
  local scheme = name:match("^tls_") and "https" or "http"
  return ("%s://127.0.0.1:%d/%s"):format(scheme, ports[name] or ports.http, name)
end

--- True until it has failed; then the second value says how.
function Hostile:running()
  return self.server:running(), self.server:output()
end

function Hostile:stop()
  self.server:stop()
  self.folder:remove()
end

Hostile.__close = Hostile.stop

return hostile

-- Holds the write lock of a SQLite database until a file appears. Run by LuaJIT: arg[1] the database, arg[2] the file.
local ffi = require("ffi")

ffi.cdef([[
int sqlite3_open(const char *path, void **handle);
int sqlite3_exec(void *handle, const char *sql, void *, void *, void *);
int sqlite3_busy_timeout(void *handle, int milliseconds);
int sqlite3_close(void *handle);
int usleep(unsigned microseconds);
]])

local sqlite = ffi.load("libsqlite3.so.0")
local handle = ffi.new("void *[1]")

local function check(code)
  if code ~= 0 then
    error("SQLite's error " .. code)
  end
end

check(sqlite.sqlite3_open(arg[1], handle))
check(sqlite.sqlite3_busy_timeout(handle[0], 20000))
check(sqlite.sqlite3_exec(handle[0], "BEGIN IMMEDIATE", nil, nil, nil))
io.stdout:write("locked\n")
io.stdout:flush()
local file
repeat
  ffi.C.usleep(2000)
  file = io.open(arg[2])
until file
file:close()
check(sqlite.sqlite3_exec(handle[0], "ROLLBACK", nil, nil, nil))
check(sqlite.sqlite3_close(handle[0]))

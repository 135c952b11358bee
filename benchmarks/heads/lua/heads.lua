-- Row 8's parse for tshark: the same fields of the same heads.
local heads = Proto("heads", "Heads of HTTP requests")
local fields = {
  method = ProtoField.string("heads.method", "Method"),
  path = ProtoField.string("heads.path", "Path"),
  host = ProtoField.string("heads.host", "Host"),
  headers = ProtoField.int64("heads.headers", "Headers"),
  length = ProtoField.int64("heads.length", "Length"),
}
heads.fields = { fields.method, fields.path, fields.host, fields.headers, fields.length }

function heads.dissector(buffer, pinfo, tree)
  local data = buffer():raw()
  local method, path, at = data:match("^([^ ]+) ([^ ]+) [^\n]*\n()")
  if not method then return 0 end
  local host, headers, length = "", 0, -1
  while true do
    local stop = data:find("\n", at, true)
    if not stop then return 0 end
    local line = data:sub(at, stop - 1):gsub("\r$", "")
    if line == "" then break end
    local name, value = line:match("^([^:]*): *(.*)$")
    if not name then return 0 end
    headers = headers + 1
    local lower = name:lower()
    if lower == "host" then
      host = value
    elseif lower == "content-length" then
      length = tonumber(value) or -1
    end
    at = stop + 1
  end
  local item = tree:add(heads, buffer())
  item:add(fields.method, method)
  item:add(fields.path, path)
  item:add(fields.host, host)
  item:add(fields.headers, Int64(headers))
  item:add(fields.length, Int64(length))
  return buffer:len()
end

DissectorTable.get("udp.port"):add(8081, heads)

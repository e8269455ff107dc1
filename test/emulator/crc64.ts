/** ECMA-182, reflected. */
const polynomial = 0xc96c5795d7870f42n

/** Two 32-bit halves, since arithmetic on BigInt per byte would be slow. */
const low = new Uint32Array(256)
const high = new Uint32Array(256)
for (let i = 0; i < 256; i += 1) {
  let value = BigInt(i)
  for (let bit = 0; bit < 8; bit += 1) value = value & 1n ? (value >> 1n) ^ polynomial : value >> 1n
  low[i] = Number(value & 0xffffffffn)
  high[i] = Number(value >> 32n)
}

/** CRC-64/XZ as the decimal text of `x-oss-hash-crc64ecma`. */
export const crc64 = (data: Uint8Array): string => {
  let lo = 0xffffffff
  let hi = 0xffffffff
  for (const byte of data) {
    const index = (lo ^ byte) & 0xff
    lo = (((lo >>> 8) | (hi << 24)) ^ (low[index] ?? 0)) >>> 0
    hi = ((hi >>> 8) ^ (high[index] ?? 0)) >>> 0
  }
  return ((BigInt(~hi >>> 0) << 32n) | BigInt(~lo >>> 0)).toString()
}

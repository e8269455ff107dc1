import type { Socket } from 'node:net'

/** Waits for the first record of a connection, and puts it back for whoever goes on with it. */
export const firstRecord = (socket: Socket): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0)
    const look = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        seen = Buffer.concat([seen, chunk])
      }
      // What is no handshake is none however long one waits.
      if (seen.length < 1 || (seen[0] === 22 && (seen.length < 5 || seen.length < 5 + seen.readUInt16BE(3)))) return
      leave()
      socket.unshift(seen)
      resolve(seen)
    }
    const fail = (): void => {
      leave()
      reject(new Error('hung up before a client hello'))
    }
    const leave = (): void => {
      socket.off('readable', look)
      socket.off('close', fail)
      socket.off('end', fail)
    }
    socket.on('readable', look)
    socket.on('close', fail)
    socket.on('end', fail)
  })

/** The host name that a client hello asks for, in lower case; undefined where there is none, or no client hello. */
export const serverNameIn = (record: Buffer): string | undefined => {
  try {
    return readServerName(record)
  } catch {
    return undefined
  }
}

const readServerName = (record: Buffer): string | undefined => {
  if (record[0] !== 22 || record[5] !== 1) return undefined
  // Record, handshake, version and random come first.
  let at = 5 + 4 + 2 + 32
  at += 1 + record.readUInt8(at)
  at += 2 + record.readUInt16BE(at)
  at += 1 + record.readUInt8(at)
  const end = at + 2 + record.readUInt16BE(at)
  at += 2
  while (at < end) {
    const kind = record.readUInt16BE(at)
    const length = record.readUInt16BE(at + 2)
    // A list of one name, of the kind of host names.
    if (kind === 0) return record.toString('latin1', at + 9, at + 4 + length).toLowerCase()
    at += 4 + length
  }
  return undefined
}

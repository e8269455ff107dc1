import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'

/** What a name has: one CNAME, addresses of both kinds, or trouble instead of an answer. */
export interface Zone {
  [name: string]: {
    readonly cname?: string
    readonly a?: readonly string[]
    readonly aaaa?: readonly string[]
    readonly trouble?: 'servfail' | 'silence'
  }
}

export interface NameServer {
  /** As `--dns-resolver` takes it. */
  readonly address: string
  /** `TYPE name`, in the order in which they came. */
  readonly questions: string[]
}

const types: Readonly<Record<number, string>> = { 1: 'A', 5: 'CNAME', 28: 'AAAA' }

/** A name server over UDP that answers for `zone` alone, which may change under it. */
export const serveNames = async (t: Test, zone: Zone): Promise<NameServer> => {
  const questions: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query)
    questions.push(`${types[type] ?? type} ${name}`)
    const records = zone[name]
    if (records?.trouble === 'silence') return
    const answers = recordsOf(zone, name, type)
    const code = records?.trouble === 'servfail' ? 2 : records === undefined ? 3 : 0
    const header = Buffer.from(query.subarray(0, 12))
    // An answer, recursion desired and available.
    header.writeUInt16BE(0x8180 | code, 2)
    header.writeUInt16BE(answers.length, 6)
    header.writeUInt32BE(0, 8)
    socket.send(Buffer.concat([header, query.subarray(12, end), ...answers]), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return { address: `127.0.0.1:${socket.address().port}`, questions }
}

export const readQuestion = (query: Buffer): { readonly name: string; readonly type: number; readonly end: number } => {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** As a recursive server answers: the CNAME, and what stands behind it. */
const recordsOf = (zone: Zone, name: string, type: number): Buffer[] => {
  const { cname, a = [], aaaa = [] } = zone[name] ?? {}
  if (cname !== undefined) {
    const own = record(name, 5, encodeName(cname))
    return type === 5 || zone[cname] === undefined ? [own] : [own, ...recordsOf(zone, cname, type)]
  }
  if (type === 1) return a.map((address) => record(name, 1, Buffer.from(address.split('.').map(Number))))
  if (type === 28) return aaaa.map((address) => record(name, 28, sixteenBytes(address)))
  return []
}

export const record = (name: string, type: number, data: Buffer): Buffer => {
  const rest = Buffer.alloc(10)
  rest.writeUInt16BE(type, 0)
  rest.writeUInt16BE(1, 2)
  rest.writeUInt32BE(1, 4)
  rest.writeUInt16BE(data.length, 8)
  return Buffer.concat([encodeName(name), rest, data])
}

export const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ])

const sixteenBytes = (address: string): Buffer => {
  const [left = '', right = ''] = address.split('::')
  const words = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const [before, after] = [words(left), words(right)]
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]))
}

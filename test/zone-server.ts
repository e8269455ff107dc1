// Name servers that answer from the zones of the emulator's AliDNS, and what stands between them and whoever asks.
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Test } from 'tap'
import { type DnsRecord, fullName, type Zone, type ZoneStore } from './emulator/alidns/zone-store.js'
import { encodeName, readQuestion, record } from './proof/name-server.js'

const codes = { A: 1, NS: 2, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, CAA: 257 } as const

const typeOf = (code: number): string => Object.entries(codes).find(([, one]) => one === code)?.[0] ?? String(code)

export interface ZoneServer {
  /** As `--dns-resolver` takes it. */
  readonly address: string
  readonly port: number
  /** `TXT _acme-challenge.example.com`, in the order in which they came. */
  readonly questions: string[]
  /** It does not answer. */
  silent: boolean
  /** It does not know of these records yet. */
  lacks: (record: DnsRecord) => boolean
  /** Called with each question before it is answered. */
  onQuestion: (question: string) => void
}

export interface ZoneServerOptions {
  readonly ip?: string
  readonly port?: number
  /** Addresses of name servers, by name; all names within the zones have 127.0.0.1. */
  readonly hosts?: Readonly<Record<string, string>>
  /** Answers for these zones alone, as servers do that have been given them. */
  readonly only?: readonly string[]
}

/** A name server over UDP. One that answers for all zones follows their CNAMEs, as a recursive one does. */
export const serveZones = async (
  t: Test,
  store: ZoneStore,
  { ip = '127.0.0.1', port = 0, hosts = {}, only }: ZoneServerOptions = {},
): Promise<ZoneServer> => {
  const socket = createSocket('udp4')
  socket.bind(port, ip)
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  const bound = socket.address().port
  const server: ZoneServer = {
    address: `${ip}:${bound}`,
    port: bound,
    questions: [],
    silent: false,
    lacks: () => false,
    onQuestion: () => undefined,
  }
  socket.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query)
    const question = `${typeOf(type)} ${name}`
    server.questions.push(question)
    server.onQuestion(question)
    if (server.silent) return
    const zone = store.zoneAbove(name)
    const isOurs = zone !== undefined && (only === undefined || only.includes(zone.name))
    const asks = { store, hosts, server, name, type, follows: only === undefined }
    const records = isOurs || only === undefined ? answersFor(asks) : []
    const soa = isOurs && records.length === 0 ? [soaOf(zone)] : []
    const exists = records.length > 0 || name in hosts || isThere(store, server, name)
    const header = Buffer.from(query.subarray(0, 12))
    // Refused by those that do not answer for it; no such name, where a zone knows better.
    const code = only !== undefined && !isOurs ? 5 : exists ? 0 : 3
    header.writeUInt16BE((only === undefined ? 0x8180 : 0x8500) | code, 2)
    header.writeUInt16BE(records.length, 6)
    header.writeUInt16BE(soa.length, 8)
    header.writeUInt16BE(0, 10)
    send(socket, Buffer.concat([header, query.subarray(12, end), ...records, ...soa]), from)
  })
  return server
}

const send = (socket: Socket, answer: Buffer, { port, address }: { port: number; address: string }): void => {
  // Whoever asked may have gone, and the server as well.
  socket.send(answer, port, address, () => undefined)
}

/** Two letters and a dot at least: a zone's own names, and those that have records, or others below them. */
const isThere = (store: ZoneStore, server: ZoneServer, name: string): boolean =>
  store.zone(name) !== undefined ||
  store.zones.some(({ records }) =>
    [...records.values()].some(
      (one) => !server.lacks(one) && (fullName(one) === name || fullName(one).endsWith(`.${name}`)),
    ),
  )

interface Question {
  readonly store: ZoneStore
  readonly hosts: Readonly<Record<string, string>>
  readonly server: ZoneServer
  readonly name: string
  readonly type: number
  readonly follows: boolean
}

const answersFor = (question: Question): Buffer[] => {
  const { store, hosts, server, name, type, follows } = question
  const host = hosts[name]
  if (host !== undefined) return type === codes.A ? [record(name, type, Buffer.from(host.split('.').map(Number)))] : []
  const zone = store.zone(name)
  if (zone !== undefined && type === codes.NS) return zone.servers.map((one) => record(name, type, encodeName(one)))
  if (zone !== undefined && type === codes.SOA) return [soaOf(zone)]
  const there = store.at(name).filter((one) => !server.lacks(one))
  const wildcard = there.length > 0 ? [] : store.at(name.replace(/^[^.]+/, '*'))
  const all = [...there, ...wildcard]
  const cname = all.find((one) => one.type === 'CNAME')?.value
  if (cname !== undefined) {
    const own = record(name, codes.CNAME, encodeName(cname))
    return type === codes.CNAME || !follows ? [own] : [own, ...answersFor({ ...question, name: cname })]
  }
  if (type === codes.TXT)
    return all.filter((one) => one.type === 'TXT').map(({ value }) => record(name, type, text(value)))
  if (type === codes.A && store.zoneAbove(name) !== undefined) return [record(name, type, Buffer.from([127, 0, 0, 1]))]
  return []
}

const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')])

const soaOf = ({ name, servers }: Zone): Buffer => {
  const numbers = Buffer.alloc(20)
  for (const [i, number] of [1, 3600, 1200, 86_400, 600].entries()) numbers.writeUInt32BE(number, i * 4)
  const primary = encodeName(servers[0] ?? 'ns.invalid')
  return record(name, codes.SOA, Buffer.concat([primary, encodeName('hostmaster.hichina.com'), numbers]))
}

import { randomUUID } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { connect } from 'node:net'

interface DnsQuery {
  /** Without the final dot. */
  name: string
  /** `TXT`, `A`, `AAAA`, `CAA`, or the number of any other. */
  type: string
}

/** The records pebble-challtestsrv answers with; every other name has the default addresses. */
export interface Dns {
  /** Adds a value; a name may have several. */
  setTxt(host: string, value: string): Promise<void>
  /** Removes every value. */
  clearTxt(host: string): Promise<void>
  addA(host: string, addresses: readonly string[]): Promise<void>
  clearA(host: string): Promise<void>
  addAAAA(host: string, addresses: readonly string[]): Promise<void>
  setCname(host: string, target: string): Promise<void>
  setServfail(host: string): Promise<void>
  clearServfail(host: string): Promise<void>
  /** What was asked about that name so far. */
  history(host: string): Promise<DnsQuery[]>
}

const types: Record<number, string> = { 1: 'A', 16: 'TXT', 28: 'AAAA', 257: 'CAA' }

export function dnsOver(managementPort: number): Dns {
  const call = async (path: string, body: object): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${managementPort}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`challtestsrv: ${path}: HTTP ${answer.status} ${text}`)
    return text
  }
  const change = async (path: string, body: object): Promise<void> => {
    await call(path, body)
  }
  return {
    setTxt: (host, value) => change('/set-txt', { host: recordName(host), value }),
    clearTxt: (host) => change('/clear-txt', { host: recordName(host) }),
    addA: (host, addresses) => change('/add-a', { host: recordName(host), addresses }),
    clearA: (host) => change('/clear-a', { host: recordName(host) }),
    addAAAA: (host, addresses) => change('/add-aaaa', { host: recordName(host), addresses }),
    setCname: (host, target) => change('/set-cname', { host: recordName(host), target: recordName(target) }),
    setServfail: (host) => change('/set-servfail', { host: recordName(host) }),
    clearServfail: (host) => change('/clear-servfail', { host: recordName(host) }),
    async history(host) {
      const events = JSON.parse(await call('/dns-request-history', { host: historyName(host) })) as Array<{
        Question: { Name: string; Qtype: number }
      }>
      return events.map(({ Question: { Name, Qtype } }) => ({
        name: historyName(Name),
        type: types[Qtype] ?? String(Qtype),
      }))
    },
  }
}

/**
 * Rejects until this very server answers on all its ports, over UDP and TCP. The value is new each time: challtestsrv
 * lives on when it finds its ports taken, and then somebody else would answer for it.
 */
export async function probeDns(port: number, dns: Dns): Promise<string> {
  const [host, value] = ['ready.invalid', randomUUID()]
  await dns.setTxt(host, value)
  try {
    const resolver = new Resolver({ timeout: 2000, tries: 1 })
    resolver.setServers([`127.0.0.1:${port}`])
    const records = await resolver.resolveTxt(host)
    if (!records.flat().includes(value)) throw new Error('another server answers over UDP')
    const answer = await askOverTcp(port, host)
    if (!answer.includes(value)) throw new Error('another server answers over TCP')
  } finally {
    await dns.clearTxt(host)
  }
  return value
}

// node:dns does not ask over TCP by itself
async function askOverTcp(port: number, host: string): Promise<Buffer> {
  const labels = host.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'ascii'))
  const header = Buffer.from('beef01000001000000000000', 'hex')
  const txt = Buffer.from('0000100001', 'hex')
  const question = Buffer.concat([header, ...labels, txt])
  const socket = connect(port, '127.0.0.1').setTimeout(2000, () => socket.destroy(new Error('no answer over TCP')))
  try {
    socket.write(Buffer.from([question.length >> 8, question.length & 0xff]))
    socket.write(question)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return answer
  } finally {
    socket.destroy()
  }
}

/** Records are found by their full name in small letters only … */
function recordName(host: string): string {
  return `${historyName(host)}.`
}

/** … and history without the final dot only. */
function historyName(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}

// A real ACME server for a test: Pebble, Let's Encrypt's small CA, and pebble-challtestsrv, the DNS it asks.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { keyPem, mintAuthority, mintLeaf } from './mint.js'
import { type Dns, dnsOver, probeDns } from './pebble/dns.js'
import { hasEnded, Keeper } from './pebble/keeper.js'
import { type PortBlock, reservePorts } from './pebble/ports.js'

interface PebbleOptions {
  /** Percentage of good nonces refused; 0, where Pebble itself takes 5. */
  nonceReject?: number
  /** Percentage of valid authorizations used again for a new order; 0, where Pebble itself takes 50. */
  authzReuse?: number
  /** The longest wait before a validation, in whole seconds; none at all when absent. */
  vaSleep?: number
  /** Takes every challenge for answered, without a look. */
  vaAlwaysValid?: boolean
  /** How many more roots there are, each at the end of a chain of its own. */
  alternateRoots?: number
  /** How many intermediates there are between leaf and root; 1 when absent. */
  chainLength?: number
  /** Accounts need one of these keys (base64url) by its id. */
  externalAccountBinding?: Record<string, string>
  /** Further environment for the CA. */
  env?: Record<string, string>
  /** Where the CA asks for an http-01 answer; a free one when absent. */
  httpPort?: number
  /** The name server that the CA asks instead of its own DNS: `127.0.0.1:5353`. */
  dnsServer?: string
  /** The addresses of every name that has none set; 127.0.0.1, and no IPv6. Empty for none. */
  defaultIPv4?: string
  defaultIPv6?: string
}

export interface Pebble {
  readonly directoryUrl: string
  /** What to trust for the directory (not for the certificates it issues): a PEM file, and its text. */
  readonly caBundle: string
  readonly caPem: string
  readonly port: number
  /** Where the CA looks for http-01 and tls-alpn-01 answers. They are kept free. */
  readonly httpPort: number
  readonly tlsPort: number
  readonly dnsPort: number
  readonly dns: Dns
  /** What the CA issues from; another one for each alternate root, and new ones after each `restart`. */
  rootPem(index?: number): Promise<string>
  intermediatePem(index?: number): Promise<string>
  /** All that both processes have said so far. */
  log(): string
  /** This moment, for the two below. */
  mark(): number
  /** How many certificates were issued (since then). */
  issued(since?: number): number
  /** How many requests the CA had (since then), by method and first segment: `{ 'GET /dir': 1, 'POST /order-plz': 2 }`. */
  requests(since?: number): Record<string, number>
  /** Stops the CA; the DNS goes on. */
  kill(): Promise<void>
  /** Starts the CA again where it was, knowing nothing of what was before: no account, no order, a new root. */
  restart(): Promise<void>
  /** Ends both processes and removes their folder. What `log` and the counts said last, they say on. */
  close(): Promise<void>
}

const commands = ['pebble', 'pebble-challtestsrv'] as const

/** Whether both commands are installed, for tests to skip themselves. */
export function hasPebble(): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return commands.every((command) => folders.some((folder) => isExecutable(join(folder, command))))
}

export async function startPebble(options: PebbleOptions = {}): Promise<Pebble> {
  if (!hasPebble()) throw new Error(`not installed: ${commands.join(', ')} (Debian: apt-get install pebble)`)
  for (let attempt = 1; ; attempt++) {
    const ports = await reservePorts()
    const keeper = await Keeper.open('acme-oss-pebble-')
    try {
      return await start(options, keeper, ports)
    } catch (error) {
      await keeper.close()
      ports.release()
      if (!(error instanceof PortTaken) || attempt === 5) throw error
    }
  }
}

async function start(options: PebbleOptions, keeper: Keeper, block: PortBlock): Promise<Pebble> {
  const [port, managementPort, httpPort, tlsPort, dnsPort, dnsManagementPort] = block.ports as SixPorts
  const inFolder = (name: string): string => join(keeper.folder, name)
  const [caLog, dnsLog, caBundle, config] = ['ca.log', 'dns.log', 'ca.pem', 'pebble.json'].map(inFolder) as Four
  const addresses: Addresses = { port, managementPort, httpPort: options.httpPort ?? httpPort, tlsPort }
  const caPem = await writeServerCertificate(inFolder)
  writeFileSync(config, JSON.stringify(configuration(options, addresses, inFolder)))
  const environment = environmentOf(options)

  const dns = dnsOver(dnsManagementPort)
  const dnsServer = keeper.run('pebble-challtestsrv', dnsArguments(options, dnsPort, dnsManagementPort), {}, dnsLog)
  const startCa = async (): Promise<ChildProcess> => {
    const begin = read(caLog).length
    const dnsServer = options.dnsServer ?? `127.0.0.1:${dnsPort}`
    const child = keeper.run('pebble', ['-config', config, '-dnsserver', dnsServer], environment, caLog)
    await answering(child, () => read(caLog).slice(begin), [
      () => handshake(port, caPem),
      () => handshake(managementPort, caPem),
    ])
    return child
  }
  const dnsAnswers = async (): Promise<void> => {
    const value = await probeDns(dnsPort, dns)
    if (!read(dnsLog).includes(value)) throw new Error('another server answers the management')
  }
  const [firstCa] = await Promise.all([startCa(), answering(dnsServer, () => read(dnsLog), [dnsAnswers])])

  let ca = firstCa
  let last: { ca: string; dns: string } | undefined
  const logs = (): { ca: string; dns: string } => last ?? { ca: read(caLog), dns: read(dnsLog) }
  return {
    directoryUrl: `https://localhost:${port}/dir`,
    caBundle,
    caPem,
    port,
    httpPort: addresses.httpPort,
    tlsPort,
    dnsPort,
    dns,
    rootPem: (index = 0) => fetchPem(managementPort, `/roots/${index}`, caPem),
    intermediatePem: (index = 0) => fetchPem(managementPort, `/intermediates/${index}`, caPem),
    log: () => logs().ca + logs().dns,
    mark: () => logs().ca.length,
    issued: (since = 0) => countIssued(logs().ca.slice(since)),
    requests: (since = 0) => countRequests(logs().ca.slice(since)),
    kill: () => keeper.stop(ca),
    async restart() {
      await keeper.stop(ca)
      ca = await startCa()
    },
    async close() {
      await Promise.all([keeper.stop(ca), keeper.stop(dnsServer)])
      last ??= logs()
      await keeper.close()
      block.release()
    },
  }
}

type Four = [string, string, string, string]
type SixPorts = [number, number, number, number, number, number]

interface Addresses {
  port: number
  managementPort: number
  httpPort: number
  tlsPort: number
}

/** The Debian package has no certificate for the server itself. A CA of its own for each tells them apart, too. */
async function writeServerCertificate(inFolder: (name: string) => string): Promise<string> {
  const authority = await mintAuthority({ name: 'Trusted for one test only' })
  const server = await mintLeaf({ issuer: authority, names: ['localhost', '127.0.0.1'] })
  writeFileSync(inFolder('ca.pem'), authority.pem)
  writeFileSync(inFolder('server.pem'), server.pem)
  writeFileSync(inFolder('server.key'), keyPem(server.key, 'pkcs8'), { mode: 0o600 })
  return authority.pem
}

function configuration(options: PebbleOptions, addresses: Addresses, inFolder: (name: string) => string): object {
  const { externalAccountBinding } = options
  return {
    pebble: {
      listenAddress: `127.0.0.1:${addresses.port}`,
      managementListenAddress: `127.0.0.1:${addresses.managementPort}`,
      certificate: inFolder('server.pem'),
      privateKey: inFolder('server.key'),
      httpPort: addresses.httpPort,
      tlsPort: addresses.tlsPort,
      ocspResponderURL: '',
      externalAccountBindingRequired: externalAccountBinding !== undefined,
      externalAccountMACKeys: externalAccountBinding ?? {},
    },
  }
}

function environmentOf(options: PebbleOptions): Record<string, string> {
  const { nonceReject = 0, authzReuse = 0, vaSleep, vaAlwaysValid, alternateRoots, chainLength, env } = options
  return {
    PEBBLE_WFE_NONCEREJECT: String(nonceReject),
    PEBBLE_AUTHZREUSE: String(authzReuse),
    ...(vaSleep === undefined ? { PEBBLE_VA_NOSLEEP: '1' } : { PEBBLE_VA_SLEEPTIME: String(vaSleep) }),
    ...(vaAlwaysValid ? { PEBBLE_VA_ALWAYS_VALID: '1' } : {}),
    ...(alternateRoots === undefined ? {} : { PEBBLE_ALTERNATE_ROOTS: String(alternateRoots) }),
    ...(chainLength === undefined ? {} : { PEBBLE_CHAIN_LENGTH: String(chainLength) }),
    ...env,
  }
}

function dnsArguments(options: PebbleOptions, dnsPort: number, managementPort: number): string[] {
  const { defaultIPv4 = '127.0.0.1', defaultIPv6 = '' } = options
  const dns = ['-dns01', `127.0.0.1:${dnsPort}`, '-management', `127.0.0.1:${managementPort}`]
  // the challenge servers it has of its own would take the very ports a test wants to answer on
  const none = ['-http01', '', '-https01', '', '-tlsalpn01', '']
  return [...dns, ...none, '-defaultIPv4', defaultIPv4, '-defaultIPv6', defaultIPv6]
}

class PortTaken extends Error {}

/** Waits for each probe in turn to succeed, for as long as the process has a chance to make it. */
async function answering(
  child: ChildProcess,
  log: () => string,
  probes: ReadonlyArray<() => Promise<void>>,
): Promise<void> {
  const deadline = Date.now() + 60_000
  for (const probe of probes) {
    for (;;) {
      const ended = hasEnded(child)
      const said = log()
      // checked first: whoever has the port might well answer
      if (said.includes('address already in use')) throw new PortTaken(said)
      if (ended) throw new Error(`${child.spawnfile} ended at once:\n${said}`)
      const failure = await probe().catch((error: unknown) => error)
      if (failure === undefined) break
      if (Date.now() > deadline) throw new Error(`${child.spawnfile} does not answer:\n${said}`, { cause: failure })
      await sleep(10)
    }
  }
}

/** No request, so that none is in the log. Only our own server has the key to this certificate. */
async function handshake(port: number, ca: string): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', timeout: 5000 })
  socket.once('timeout', () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'secureConnect')
    // the server logs a handshake that breaks off, which it would be until our last message is there
    socket.end()
    socket.resume()
    await once(socket, 'close')
  } finally {
    socket.destroy()
  }
}

async function fetchPem(port: number, path: string, ca: string): Promise<string> {
  const request = get({ host: '127.0.0.1', port, path, ca, servername: 'localhost', agent: false })
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const chunks = (await answer.toArray()) as Buffer[]
  const text = Buffer.concat(chunks).toString()
  if (answer.statusCode !== 200) throw new Error(`pebble: ${path}: HTTP ${answer.statusCode} ${text}`)
  return text
}

function countIssued(log: string): number {
  return log.match(/Issued certificate serial/g)?.length ?? 0
}

function countRequests(log: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [, method, segment] of log.matchAll(/ ([A-Z]+) (\/[^/\s]*)\S* -> calling handler/g)) {
    const name = `${method} ${segment}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

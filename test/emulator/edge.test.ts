import { once } from 'node:events'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type PeerCertificate } from 'node:tls'
import t, { type Test } from 'tap'
import { type Material, mintMaterial } from '../deploy-world.js'
import type { AccessKey } from './access-key.js'
import { callPop } from './call-pop.js'
import type { Edge } from './edge/edge.js'
import { type Emulator, startEmulator } from './emulator.js'
import { signatureV1, stringToSignV1 } from './oss/signature-v1.js'

const bucket = 'my-ssl-certs'
const key: AccessKey = { id: 'LTAI-tester', secret: 'not-a-secret', allow: [{ action: '*', resource: '*' }] }
const host = 'static.example.com'

const [one, two, three] = (await Promise.all(
  Array.from({ length: 3 }, () => mintMaterial({ names: [host, '*.example.com'] })),
)) as [Material, Material, Material]

const start = async (t: Test): Promise<Emulator> => {
  const emulator = await startEmulator()
  t.teardown(() => emulator.close())
  emulator.addBucket(bucket)
  emulator.addKey(key)
  return emulator
}

const fingerprint = ({ x509 }: Material): string => x509.fingerprint256

/** What a client without any trust is shown: the leaf's fingerprint and the length of the chain, or the error's code. */
const look = (edge: Edge, servername: string): Promise<readonly [string, number] | string> =>
  new Promise((resolve) => {
    const socket = connect({ host: edge.address, port: edge.port, servername, rejectUnauthorized: false })
    socket.on('secureConnect', () => {
      let certificate: PeerCertificate | undefined = socket.getPeerCertificate(true)
      const leaf = certificate.fingerprint256
      const seen = new Set<string>()
      while (certificate !== undefined && !seen.has(certificate.fingerprint256)) {
        seen.add(certificate.fingerprint256)
        certificate =
          'issuerCertificate' in certificate ? (certificate.issuerCertificate as PeerCertificate) : undefined
      }
      socket.destroy()
      resolve([leaf, seen.size])
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })

const leafSeen = async (edge: Edge, servername = host): Promise<string> => {
  const seen = await look(edge, servername)
  return typeof seen === 'string' ? seen : seen[0]
}

interface Asked {
  readonly method?: string
  readonly servername?: string
  readonly headers?: Readonly<Record<string, string>>
}

const get = (
  edge: Edge,
  path: string,
  { method = 'GET', servername = host, headers = {} }: Asked = {},
): Promise<readonly [number, string]> =>
  new Promise((resolve, reject) => {
    const { address, port } = edge
    const options = { host: address, port, path, method, servername, rejectUnauthorized: false, agent: false }
    const sent = request({ ...options, headers: { ...headers, Host: `${servername}:${port}` } }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve([response.statusCode ?? 0, body]))
    })
    sent.on('error', reject)
    sent.end()
  })

/** The status, what is said of strict transport, and where one is sent. */
const headersOf = async (
  { address, port }: Edge,
  { servername, path }: { readonly servername: string; readonly path: string },
): Promise<readonly [number | undefined, string | undefined, string | undefined]> => {
  const headers = { Host: `${servername}:${port}` }
  const options = { host: address, port, path, servername, headers, rejectUnauthorized: false, agent: false }
  const [response] = (await once(request(options).end(), 'response')) as [IncomingMessage]
  response.resume()
  return [response.statusCode, response.headers['strict-transport-security'], response.headers.location]
}

const setCertificate = async (emulator: Emulator, { fullchain, key: pem }: Material, domain = host): Promise<void> => {
  const form = { DomainName: domain, SSLProtocol: 'on', CertName: `c-${Date.now()}`, SSLPub: fullchain, SSLPri: pem }
  const { status } = await callPop(emulator.port, { product: 'cdn', action: 'SetCdnDomainSSLCertificate', form }, key)
  if (status !== 200) throw new Error(`not set: ${status}`)
}

t.test('a name without a certificate', async (t) => {
  const emulator = await start(t)
  const edge = await emulator.startEdge()
  t.match(await look(edge, host), /HANDSHAKE_FAILURE$/)
  emulator.bindCname(host, bucket)
  emulator.addCdnDomain(host, { https: false, certificate: one })
  t.match(await look(edge, host), /HANDSHAKE_FAILURE$/, 'bound, but without HTTPS')
  t.match(edge.handshakes, [
    { host, sha256: undefined },
    { host, sha256: undefined },
  ])
})

t.test('what is bound is what is shown', async (t) => {
  const emulator = await start(t)
  const edge = await emulator.startEdge()
  emulator.bindCname(host, bucket, { certificate: one })
  t.same(await look(edge, host), [fingerprint(one), 2], 'with its chain')
  t.same(await look(edge, host.toUpperCase()), [fingerprint(one), 2])
  t.match(await look(edge, 'other.example.com'), /HANDSHAKE_FAILURE$/, 'the binding is of one name')

  emulator.addDcdnDomain('.example.com', { certificate: two })
  t.equal(await leafSeen(edge), fingerprint(two), 'the wildcard domain')
  t.equal(await leafSeen(edge, 'other.example.com'), fingerprint(two))
  t.match(await leafSeen(edge, 'a.b.example.com'), /HANDSHAKE_FAILURE$/)
  t.match(await leafSeen(edge, 'example.com'), /HANDSHAKE_FAILURE$/)
  emulator.addCdnDomain(host, {})
  await setCertificate(emulator, three)
  t.equal(await leafSeen(edge), fingerprint(three), 'at once, unless told')
  t.equal(edge.handshakes.at(-1)?.sha256, emulator.cdn.domain(host)?.certificate?.sha256)

  const ossEdge = await emulator.startEdge({ products: ['oss'] })
  t.equal(await leafSeen(ossEdge), fingerprint(one))
  const dcdnEdge = await emulator.startEdge({ products: ['dcdn'], address: '127.0.0.2', port: ossEdge.port })
  t.equal(dcdnEdge.port, ossEdge.port, 'the same port at another address')
  t.equal(await leafSeen(dcdnEdge), fingerprint(two))
})

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))

t.test('over IPv6', { skip: hasIpv6 ? false : 'there is no ::1 here' }, async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket, { certificate: one })
  const edge = await emulator.startEdge({ address: '::1' })
  t.equal(edge.address, '::1')
  t.equal(await leafSeen(edge), fingerprint(one))
})

t.test('a resumed session', async (t) => {
  const emulator = await start(t)
  emulator.bindCname(host, bucket, { certificate: one })
  const edge = await emulator.startEdge()
  const session = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect({ host: edge.address, port: edge.port, servername: host, rejectUnauthorized: false })
    socket.on('error', reject)
    socket.once('session', (ticket) => {
      socket.destroy()
      resolve(ticket)
    })
  })
  emulator.bindCname(host, bucket, { certificate: two })
  const reused = await new Promise<boolean>((resolve, reject) => {
    const options = { servername: host, rejectUnauthorized: false, session }
    const socket = connect({ host: edge.address, port: edge.port, ...options }, () => {
      resolve(socket.isSessionReused())
      socket.destroy()
    })
    socket.on('error', reject)
  })
  t.equal(reused, true, 'works as with real edges, so a client that looks must not bring its old session')
  t.equal(edge.handshakes.length, 1, 'and is no look at a certificate')
})

t.test('an edge that learns late', async (t) => {
  const emulator = await start(t)
  emulator.addCdnDomain(host, { certificate: one })
  emulator.addCdnDomain('new.example.com')
  const edge = await emulator.startEdge({ delayMs: 400 })
  const prompt = await emulator.startEdge()
  t.equal(await leafSeen(edge), fingerprint(one), 'what was there before is there')
  await setCertificate(emulator, two)
  await setCertificate(emulator, two, 'new.example.com')
  t.equal(await leafSeen(edge), fingerprint(one), 'still the old one')
  t.match(await leafSeen(edge, 'new.example.com'), /HANDSHAKE_FAILURE$/, 'still none')
  t.equal(await leafSeen(prompt), fingerprint(two))
  await pause(450)
  t.equal(await leafSeen(edge), fingerprint(two))
  t.equal(await leafSeen(edge, 'new.example.com'), fingerprint(two))
})

t.test('an edge that shows something else', async (t) => {
  const emulator = await start(t)
  emulator.addCdnDomain(host, { certificate: one })
  const edge = await emulator.startEdge()
  edge.serve('Static.Example.com', { fullchain: two.leaf, key: two.key })
  t.same(await look(edge, host), [fingerprint(two), 1], 'without intermediates')
  edge.serve(host, 'nothing')
  t.match(await look(edge, host), /HANDSHAKE_FAILURE$/)
  edge.serve(host, undefined)
  t.equal(await leafSeen(edge), fingerprint(one))
  t.throws(() => edge.serve(host, { fullchain: two.leaf, key: one.key }), /mismatch/)
})

t.test('requests over an edge', async (t) => {
  const emulator = await start(t)
  emulator.putObject(bucket, 'open.txt', 'open', { 'x-oss-object-acl': 'public-read' })
  emulator.putObject(bucket, 'certs/a b.txt', 'shut')
  emulator.bindCname(host, bucket, { certificate: one })
  const edge = await emulator.startEdge()
  t.same(await get(edge, '/open.txt'), [200, 'open'])
  t.equal((await get(edge, '/certs/a%20b.txt'))[0], 403, 'private')
  t.match(emulator.requests.at(-1), { secure: true, action: 'oss:GetObject', bucket, answer: { code: 'AccessDenied' } })

  const dated = { 'x-oss-date': new Date().toUTCString() }
  const parts = { method: 'GET', bucket, key: 'certs/a b.txt', parameters: [], headers: dated }
  const signature = signatureV1(key.secret, stringToSignV1(parts, dated['x-oss-date']))
  const signed = { ...dated, Authorization: `OSS ${key.id}:${signature}` }
  t.same(await get(edge, '/certs/a%20b.txt', { headers: signed }), [200, 'shut'], 'but not for who may read')

  const domain = emulator.addCdnDomain(host, { certificate: two, origin: bucket })
  t.same(await get(edge, '/open.txt'), [200, 'open'], 'through CDN')
  t.match(emulator.requests.at(-1), { action: 'cdn:GetObject', bucket, key: 'open.txt' })
  t.equal((await get(edge, '/certs/a%20b.txt'))[0], 403, 'CDN asks as everybody would')
  domain.privateOrigin = true
  t.same(await get(edge, '/certs/a%20b.txt'), [200, 'shut'], 'until it is let in')
  t.same(await get(edge, '/certs/a%20b.txt', { method: 'HEAD' }), [200, ''])
  t.match(await get(edge, '/missing'), [404, /NoSuchKey/])
  t.equal((await get(edge, '/open.txt', { method: 'POST' }))[0], 405)
  emulator.addDcdnDomain('.example.com', { certificate: two, origin: bucket, privateOrigin: true })
  t.same(await get(edge, '/certs/a%20b.txt', { servername: 'x.example.com' }), [200, 'shut'])
  t.equal(emulator.requests.at(-1)?.action, 'dcdn:GetObject')

  const named = { servername: host, path: '/open.txt' }
  t.same(await headersOf(edge, named), [200, undefined, undefined])
  const hsts = { enabled: 'on', https_hsts_max_age: '300' }
  const set = (...all: readonly (readonly [string, Record<string, string>])[]): void => {
    domain.functions = all.map(([name, args], i) => ({ id: String(i), name, args }))
  }
  set(['HSTS', hsts])
  t.same(await headersOf(edge, named), [200, 'max-age=300', undefined])
  set(['HSTS', { ...hsts, https_hsts_include_subdomains: 'on', https_hsts_preload: 'on' }])
  t.same(await headersOf(edge, named), [200, 'max-age=300; includeSubDomains; preload', undefined])
  set(['HSTS', { ...hsts, enabled: 'off' }], ['http_force', { enable: 'on', http_rewrite: '308' }])
  t.same(await headersOf(edge, named), [308, undefined, `http://${host}/open.txt`])
  domain.functions = []

  emulator.fail({ action: 'cdn:GetObject' }, { status: 503, code: 'ServiceUnavailable' })
  t.equal((await get(edge, '/open.txt'))[0], 503)
})

const agreedOn = (edge: Edge, version: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): Promise<string | null> =>
  new Promise((resolve) => {
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const options = { host: edge.address, port: edge.port, servername: host, rejectUnauthorized: false, ...old }
    const socket = connect(options, () => {
      resolve(socket.getProtocol())
      socket.destroy()
    })
    socket.on('error', () => resolve(null))
  })

t.test('the TLS versions that a domain speaks', async (t) => {
  const emulator = await start(t)
  const domain = emulator.addCdnDomain(host, { certificate: one })
  const edge = await emulator.startEdge()
  const spoken = async (): Promise<string> => {
    const all = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
    return (await Promise.all(all.map((version) => agreedOn(edge, version)))).filter(Boolean).join()
  }
  const set = (args: Readonly<Record<string, string>>): void => {
    domain.functions = [{ id: '1', name: 'https_tls_version', args }]
  }
  t.equal(await spoken(), 'TLSv1.2,TLSv1.3', 'as Node does')
  set({ tls10: 'on', tls11: 'off', tls12: 'on', tls13: 'off' })
  t.equal(await spoken(), 'TLSv1,TLSv1.2', 'exactly these')
  t.equal(await leafSeen(edge), fingerprint(one), 'who speaks more comes in')
  set({ tls13: 'on' })
  t.equal(await spoken(), 'TLSv1.3')
  set({ ciphersuitegroup: 'strict' })
  t.equal(await spoken(), 'TLSv1.2,TLSv1.3', 'none was chosen')
})

t.test('the TLS versions that a bucket speaks under its domain', async (t) => {
  const emulator = await start(t)
  const httpsConfig = (isOn: boolean): string =>
    `<HttpsConfiguration><TLS><Enable>${isOn}</Enable><TLSVersion>TLSv1.1</TLSVersion><TLSVersion>TLSv1.2</TLSVersion></TLS></HttpsConfiguration>`
  const site = emulator.addBucket('a-website', { httpsConfig: httpsConfig(true) })
  emulator.bindCname(host, 'a-website', { certificate: one })
  const edge = await emulator.startEdge()
  const versions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
  const spoken = async () => (await Promise.all(versions.map((one) => agreedOn(edge, one)))).filter(Boolean).join()
  t.equal(await spoken(), 'TLSv1.1,TLSv1.2')
  t.equal(await leafSeen(edge), fingerprint(one), 'who speaks more comes in')
  site.httpsConfig = httpsConfig(false)
  t.equal(await spoken(), 'TLSv1.2,TLSv1.3', 'as Node does')
})

t.test('edges close alone, and with the emulator', async (t) => {
  const emulator = await startEmulator()
  emulator.bindCname(host, bucket, { certificate: one })
  const edges = await Promise.all([emulator.startEdge(), emulator.startEdge()])
  await edges[0].close()
  t.equal(await look(edges[0], host), 'ECONNREFUSED')
  t.equal(await leafSeen(edges[1]), fingerprint(one))
  await emulator.close()
  t.equal(await look(edges[1], host), 'ECONNREFUSED')
})

t.test('over plain HTTP', async (t) => {
  const emulator = await start(t)
  const plain = await emulator.startPlainEdge()
  const ask = async (name: string, path: string): Promise<readonly [number, string, string | undefined]> => {
    const headers = { Host: `${name}:${plain.port}` }
    const sent = plainRequest({ host: '127.0.0.1', port: plain.port, path, headers, agent: false }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return [response.statusCode ?? 0, await text(response), response.headers.location]
  }
  const site = emulator.addBucket('a-website')
  emulator.putObject('a-website', 'open', 'for all', { 'x-oss-object-acl': 'public-read' })
  emulator.putObject('a-website', 'kept', 'for nobody')
  emulator.bindCname(host, 'a-website')
  const accelerated = emulator.addCdnDomain('cdn.example.com', { origin: 'a-website' })
  for (const name of [host, 'cdn.example.com']) {
    t.same(await ask(name, '/open'), [200, 'for all', undefined], `${name}: an object’s own ACL`)
    t.match(await ask(name, '/kept'), [403, /<Code>AccessDenied</])
    t.match(await ask(name, '/nothing'), [403, /<Code>AccessDenied</], 'a private bucket does not say what it has')
    site.denyPlainHttp = true
    t.match(await ask(name, '/open'), [403, /<Code>AccessDenied<.*by bucket policy/])
    site.denyPlainHttp = false
    site.blockPublicAccess = true
    t.match(await ask(name, '/open'), [403, /<Code>AccessDenied</])
    site.blockPublicAccess = false
  }
  t.match(await ask('unbound.example.com', '/open'), [403, /NonStandardHostForbidden/])
  const forced = { id: '1', name: 'https_force', args: { enable: 'on', https_rewrite: '308' } }
  accelerated.functions = [forced]
  t.match(await ask('cdn.example.com', '/open?x'), [308, /html/, 'https://cdn.example.com/open?x'], 'with HTTPS or not')
  accelerated.functions = [{ ...forced, parentId: '7' }]
  t.equal((await ask('cdn.example.com', '/open'))[0], 200, 'under a rule that is nobody’s')
  accelerated.functions = [{ ...forced, args: { enable: 'off' } }]
  t.equal((await ask('cdn.example.com', '/open'))[0], 200)
  accelerated.forcedRedirect = 443
  t.match(await ask('cdn.example.com', '/open?x'), [301, /html/, 'https://cdn.example.com/open?x'])
  accelerated.forcedRedirect = 8443
  t.match(await ask('cdn.example.com', '/open'), [301, /html/, 'https://cdn.example.com:8443/open'])
})

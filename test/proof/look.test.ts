import { X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import { parseConnectTo } from '../../src/proof/connect-to.js'
import { type LookOptions, lookAt } from '../../src/proof/look.js'
import { mintAuthority, mintLeaf } from '../mint.js'
import { serveNames } from './name-server.js'
import { answering, closedPort, hasIpv6, presenting, type TlsPlace } from './tls-server.js'

const host = 'www.example.com'
const root = await mintAuthority()
const intermediate = await mintAuthority({ issuer: root })
const leaf = await mintLeaf({ issuer: intermediate, names: [host] })
const before = await mintLeaf({ issuer: intermediate, names: [host] })
const fingerprint = new X509Certificate(leaf.pem).fingerprint256.replaceAll(':', '').toLowerCase()

const look = (options: Partial<LookOptions>, name = host) =>
  lookAt(name, {
    expectation: { sha256: fingerprint },
    now: () => new Date(),
    signal: new AbortController().signal,
    ...options,
  })

const at = (...places: readonly string[]) => ({ connect: places.map((one) => parseConnectTo(one)) })

/** The same port at several addresses of this machine. */
const atOnePort = async (t: Test, addresses: readonly string[]): Promise<TlsPlace[]> => {
  for (let tries = 0; tries < 20; tries++) {
    const places: TlsPlace[] = []
    try {
      for (const address of addresses) {
        places.push(await presenting(t, leaf, [intermediate], { address, port: places[0]?.port ?? 0 }))
      }
      return places
    } catch {
      // Somebody else has the port there.
    }
  }
  throw new Error('no port is free at all of them')
}

const withIpv6 = { skip: !hasIpv6 && 'this machine has no IPv6' }

t.test('every address is looked at, and one that serves another certificate is enough to fail', withIpv6, async (t) => {
  const [first, second, third] = (await atOnePort(t, ['127.0.0.1', '127.0.0.2', '::1'])) as [
    TlsPlace,
    TlsPlace,
    TlsPlace,
  ]
  const { address } = await serveNames(t, {
    [host]: { cname: 'www.example.com.w.kunlunsl.com' },
    'www.example.com.w.kunlunsl.com': { a: ['127.0.0.1', '127.0.0.2'], aaaa: ['::1'] },
  })
  const options = { port: first.port, nameServer: address }
  const all = await look(options)
  t.match(all, {
    host,
    port: first.port,
    leadsTo: 'cdn',
    cnames: ['www.example.com.w.kunlunsl.com'],
    served: true,
    problem: undefined,
    warnings: [/not known to this machine/],
  })
  t.same(
    all.addresses.map(({ address, port, certificate }) => [address, port, certificate?.sha256]),
    [first, second, third].map(({ address, port }) => [address, port, fingerprint]),
  )
  t.match(all.addresses[0]?.certificate, {
    names: [host],
    issuer: 'CN=Test Intermediate CA',
    above: 1,
    trusted: false,
    chainComplete: true,
  })
  second.present(before, [intermediate])
  const some = await look(options)
  t.match(some, { served: false, problem: { kind: 'other-certificate', cause: /CDN/ } })
  t.same(
    some.addresses.map(({ verdict }) => verdict.served),
    [true, false, true],
  )
  second.present(leaf, [intermediate])
  third.present(before, [intermediate])
  t.match(await look(options), { served: false, problem: { kind: 'other-certificate' } }, 'IPv6 counts as much')
})

t.test('a name server that does not know the host', async (t) => {
  const { address } = await serveNames(t, { [host]: {}, 'v6.example.com': { aaaa: ['::1'] } })
  const nobody = { served: false, addresses: [], warnings: [] }
  t.match(await look({ nameServer: address }), { ...nobody, problem: { kind: 'unresolved', sentence: /ENODATA/ } })
  t.match(await look({ nameServer: address }, 'nobody.example.com'), {
    ...nobody,
    problem: {
      kind: 'unresolved',
      browser: 'ERR_NAME_NOT_RESOLVED',
      sentence: 'nobody.example.com does not resolve (ENOTFOUND)',
    },
  })
  const port = await closedPort()
  t.match(await look({ nameServer: address, port }, 'v6.example.com'), { addresses: [{ address: '::1', port }] })
})

t.test('names below localhost are this machine', async (t) => {
  const own = await mintLeaf({ names: ['a.b.localhost'] })
  const place = await presenting(t, own)
  const proof = await look({ port: place.port, expectation: {} }, 'a.b.localhost')
  const here = proof.addresses.find(({ address }) => address === '127.0.0.1')
  t.same(here?.certificate?.names, ['a.b.localhost'])
})

t.test('--connect names the place instead of DNS', async (t) => {
  const right = await presenting(t, leaf, [intermediate])
  const wrong = await presenting(t, before, [intermediate], { address: '127.0.0.2' })
  t.match(await look(at(right.connect)), { served: true, leadsTo: 'unknown', cnames: [] })
  t.match(await look(at(right.connect, wrong.connect)), { served: false, addresses: { length: 2 } })
  t.match(await look(at(wrong.connect, `${host}=${right.connect}`)), { served: true, addresses: { length: 1 } })
  t.match(await look(at(right.connect, `other.example.com=${wrong.connect}`)), { served: true })
  t.match(await look(at(right.connect, right.connect)), { served: true, addresses: { length: 1 } })
  t.match(await look(at(`no-such-name.invalid:${right.port}`)), {
    served: false,
    problem: { kind: 'unresolved', sentence: /^no-such-name\.invalid does not resolve/, cause: /--connect/ },
  })
})

t.test('DNS is asked where a place leads that was named only if a name server is', async (t) => {
  const place = await presenting(t, before, [intermediate])
  const { address, questions } = await serveNames(t, { [host]: { cname: 'b.oss-cn-hangzhou.aliyuncs.com' } })
  const asked = {
    ...at(place.connect),
    nameServer: address,
    expectation: { sha256: fingerprint, hostedOn: 'cdn' },
  } as const
  t.match(await look(asked), {
    leadsTo: 'oss',
    problem: { hint: `add --oss-cname ${host}, or point the CNAME of ${host} at CDN` },
  })
  t.same(
    [...new Set(questions)].filter((question) => !question.startsWith('CNAME')),
    [],
  )
  const name = 'no-such-name.invalid'
  const { address: knowing } = await serveNames(t, { [name]: { a: ['127.0.0.1'] } })
  const away = await look({ ...asked, ...at(`${name}:${place.port}`), nameServer: knowing })
  t.match(away, { problem: { kind: 'unresolved' } }, 'what stands in --connect is for this machine to resolve')
})

t.test('IPv6 that does not lead anywhere from here is passed over, if another address serves', withIpv6, async (t) => {
  const place = await presenting(t, leaf, [intermediate])
  // TCP has no multicast: no machine has a route for it.
  const away = '[ff0e::1]:443'
  const both = await look(at(place.connect, away))
  t.match(both, { served: true, problem: undefined })
  t.ok(both.warnings.some((warning) => /^ff0e::1 cannot be reached from this machine/.test(warning)))
  t.match(both.addresses[1]?.verdict, { served: false, problem: { browser: 'ERR_ADDRESS_UNREACHABLE' } })
  t.match(await look(at(away)), { served: false, problem: { kind: 'unreachable' } }, 'alone, it is all there is')
  place.present(before, [intermediate])
  t.match(await look(at(away, place.connect)), { served: false, addresses: { length: 2 } })
  place.present(leaf, [intermediate])
  t.match(await look(at(place.connect, '224.0.0.1:443')), { served: false }, 'IPv4 is never passed over')
  const closed = await closedPort('::1')
  const refused = await look(at(place.connect, `[::1]:${closed}`))
  t.match(refused, { served: false, problem: { browser: 'ERR_CONNECTION_REFUSED' } }, 'nor is IPv6 that answers')
})

t.test('each handshake has its time', async (t) => {
  const silent = await answering(t, () => undefined)
  const place = await presenting(t, leaf, [intermediate])
  const proof = await look({ ...at(place.connect, silent.connect), timeout: 2000 })
  t.match(proof, { served: false, problem: { kind: 'timeout' } })
  t.equal(proof.addresses[0]?.verdict.served, true)
})

t.test('an interruption ends it', async (t) => {
  const silent = await answering(t, () => undefined)
  const abort = new AbortController()
  const looking = look({ ...at(silent.connect), signal: abort.signal })
  abort.abort()
  await t.rejects(looking, { code: 'INTERRUPTED' })
})

import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Handshake, shakeHands } from '../../src/proof/handshake.js'
import { mintAuthority, mintLeaf } from '../mint.js'
import { answering, closedPort, type Place, presenting } from './tls-server.js'

const host = 'www.example.com'
const root = await mintAuthority()
const intermediate = await mintAuthority({ issuer: root })
const leaf = await mintLeaf({ issuer: intermediate, names: [host] })

const look = (at: Pick<Place, 'address' | 'port'>, timeout = 10_000, name = host): Promise<Handshake> =>
  shakeHands({ host: name, at, timeout, signal: new AbortController().signal })

const alert = (description: number) => (t: Test) =>
  answering(t, (socket) => socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, description]))))

t.test('certificates are told as they are sent', async (t) => {
  const other = await mintLeaf({ names: ['other.example.com'] })
  for (const [what, others, reason] of [
    ['the leaf alone', [], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['with its intermediate', [intermediate], 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    ['with the root', [intermediate, root], 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['out of order', [root, intermediate], 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['with one that has nothing to do with it', [other], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['the leaf twice', [leaf, intermediate], 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ] as const) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const handshake = await look(await presenting(t, leaf, others, { maxVersion }))
      if (handshake.kind !== 'presented') throw new Error(`${what}: ${handshake.kind}`)
      t.same(
        handshake.certificates.map(({ der }) => der.toString('hex')),
        [leaf, ...others].map(({ der }) => der.toString('hex')),
        `${what}, ${maxVersion}`,
      )
      t.same(handshake.trusted, { reason })
      t.equal(handshake.protocol, maxVersion)
    }
  }
})

t.test('the server name is sent, an address never, and nothing is said afterwards', async (t) => {
  const asked: string[] = []
  const place = await presenting(t, leaf, [], {
    SNICallback: (name, done) => {
      asked.push(name)
      done(null)
    },
  })
  t.match(await look(place), { kind: 'presented' })
  t.match(await look(place, 10_000, '127.0.0.1'), { kind: 'presented' })
  t.same(asked, [host])
  t.equal(Buffer.concat(place.said).length, 0)
})

t.test('a handshake that is refused', async (t) => {
  const refusing = await presenting(t, leaf, [], { SNICallback: (_name, done) => done(new Error('not ours')) })
  t.same(await look(refusing), { kind: 'refused', code: 'ECONNRESET' }, 'hung up over the name')
  t.same(await look(await alert(112)(t)), { kind: 'refused', code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' })
  t.same(await look(await alert(40)(t)), { kind: 'refused', code: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE' })
  t.same(await look(await alert(80)(t)), { kind: 'refused', code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' })
  const http = await answering(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
  t.same(await look(http), { kind: 'refused', code: 'ERR_SSL_WRONG_VERSION_NUMBER' })
  const hangingUp = await answering(t, (socket) => socket.end())
  t.same(await look(hangingUp), { kind: 'refused', code: 'ECONNRESET' })
  const resetting = await answering(t, (socket) => socket.once('data', () => socket.resetAndDestroy()))
  t.same(await look(resetting), { kind: 'refused', code: 'ECONNRESET' })
})

t.test('a place that cannot be reached', async (t) => {
  const port = await closedPort()
  t.same(await look({ address: '127.0.0.1', port }), { kind: 'unreachable', code: 'ECONNREFUSED' })
  // TCP has no multicast, so nothing ever leads there.
  t.same(await look({ address: 'ff0e::1', port }), { kind: 'unreachable', code: 'ENETUNREACH' })
})

t.test('a port that takes the connection and is silent', async (t) => {
  const silent = await answering(t, () => undefined)
  t.same(await look(silent, 1000), { kind: 'timeout', connected: true })
})

t.test('an interruption ends it at once', async (t) => {
  const silent = await answering(t, () => undefined)
  const abort = new AbortController()
  const looking = shakeHands({ host, at: silent, timeout: 60_000, signal: abort.signal })
  await pause(50)
  abort.abort()
  await t.rejects(looking, { code: 'INTERRUPTED' })
  await t.rejects(shakeHands({ host, at: silent, timeout: 60_000, signal: abort.signal }), { code: 'INTERRUPTED' })
})

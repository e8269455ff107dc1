import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { parseConnectTo } from '../../src/proof/connect-to.js'
import type { HostProof } from '../../src/proof/look.js'
import { type WaitOptions, waitUntilServed } from '../../src/proof/wait-until-served.js'
import { mintAuthority, mintLeaf } from '../mint.js'
import { serveNames, type Zone } from './name-server.js'
import { presenting } from './tls-server.js'

const host = 'www.example.com'
const root = await mintAuthority()
const leaf = await mintLeaf({ issuer: root, names: [host] })
const before = await mintLeaf({ issuer: root, names: [host] })
const sha256 = new X509Certificate(leaf.pem).fingerprint256.replaceAll(':', '').toLowerCase()

const wait = (options: Partial<WaitOptions> & Pick<WaitOptions, 'limit'>) =>
  waitUntilServed(host, {
    expectation: { sha256 },
    now: () => new Date(),
    signal: new AbortController().signal,
    ...options,
  })

const connectTo = (...places: readonly string[]) => places.map((place) => parseConnectTo(place))

t.test('what is served already needs one look', async (t) => {
  const place = await presenting(t, leaf)
  const seen: HostProof[] = []
  const connect = connectTo(place.connect)
  const proof = await wait({ limit: 60_000, connect, onLook: (one) => seen.push(one) })
  t.equal(proof.served, true)
  t.same(seen, [proof])
  t.match(await wait({ limit: 0, connect }), { served: true })
})

t.test('two addresses, of which one is old and becomes new', async (t) => {
  const first = await presenting(t, leaf)
  const second = await presenting(t, before, [], { address: '127.0.0.2' })
  const seen: HostProof[] = []
  const proof = await wait({
    limit: 60_000,
    connect: connectTo(first.connect, second.connect),
    onLook: (one, elapsed) => {
      t.ok(elapsed >= 0)
      seen.push(one)
      if (seen.length === 2) second.present(leaf)
    },
  })
  t.equal(proof.served, true)
  t.same(
    seen.map(({ served }) => served),
    [false, false, true],
  )
})

t.test('a name that does not resolve yet is waited for', async (t) => {
  const place = await presenting(t, leaf)
  const zone: Zone = {}
  const { address } = await serveNames(t, zone)
  const kinds: (string | undefined)[] = []
  const onLook = ({ problem }: HostProof) => {
    kinds.push(problem?.kind)
    zone[host] = { a: ['127.0.0.1'] }
  }
  await wait({ limit: 60_000, port: place.port, nameServer: address, onLook })
  t.same(kinds, ['unresolved', undefined])
})

t.test('at the limit it says what is served instead', async (t) => {
  const place = await presenting(t, before)
  const seen: HostProof[] = []
  const connect = connectTo(place.connect)
  const failing = wait({ limit: 1500, connect, onLook: (one) => seen.push(one) })
  await t.rejects(failing, {
    code: 'NOT_SERVED',
    passing: true,
    message: new RegExp(`^www\\.example\\.com at 127\\.0\\.0\\.1:${place.port}: another certificate is served`),
    hint: /from before is still served.*: wait with/,
  })
  t.ok(seen.length > 1, 'it looked again')
  seen.length = 0
  await t.rejects(wait({ limit: 0, connect, onLook: (one) => seen.push(one) }), { code: 'NOT_SERVED' })
  t.equal(seen.length, 1, 'no limit is one look')
})

t.test('a place with a colon, and no place at all', async (t) => {
  // TCP has no multicast, so nobody is ever there.
  await t.rejects(wait({ limit: 0, connect: connectTo('[ff0e::1]:8443') }), {
    message: /^www\.example\.com at \[ff0e::1\]:8443: there is no connection \(E/,
  })
  const { address } = await serveNames(t, {})
  await t.rejects(wait({ limit: 0, nameServer: address }), {
    message: `${host}:443: ${host} does not resolve (ENOTFOUND)`,
  })
})

t.test('an interruption ends the pause', async (t) => {
  const place = await presenting(t, before)
  const abort = new AbortController()
  const waiting = wait({
    limit: 3_600_000,
    connect: connectTo(place.connect),
    signal: abort.signal,
    onLook: () => setImmediate(() => abort.abort()),
  })
  await t.rejects(waiting, { code: 'INTERRUPTED' })
})

// With --verify a target is done only when it is served: what keeps a host from that is named, stays wanted, and is
// looked at again by sync, which binds nothing twice.
import t, { type Test } from 'tap'
import {
  bucket,
  day,
  daysFromNow,
  type Material,
  mintMaterial,
  prefix,
  proveSilence,
  resultOf,
  stepError,
  stepsIn,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import type { PemPair } from '../emulator/key-pair.js'
import { ends, pendingOf, provesSettled, resultsOf, statusOf, sync } from '../sync/hook-call.js'
import {
  changesIn,
  countOf,
  dialling,
  mintBefore,
  mintWildcard,
  openLines,
  openServedWorld,
  placeOf,
  type ServedWorld,
  stageLines,
} from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const www = 'www.example.com'
const api = 'api.example.com'
const material = await mintWildcard()
const before = await mintBefore()

/** One look, and one more at the end of a second. */
const briefly = ['--verify-timeout', '1']

const open = async (t: Test): Promise<[ServedWorld, Edge]> => {
  const world = await openServedWorld(t)
  world.emulator.bindCname('static.example.com', bucket, { certificate: before })
  for (const domain of [www, api]) world.emulator.addCdnDomain(domain, { certificate: before })
  return [world, await world.emulator.startEdge()]
}

t.test('an edge that keeps showing the certificate from before', together(), async (t) => {
  const [world, edge] = await open(t)
  const { emulator } = world
  edge.serve(www, before)
  const words = ['--oss-cname', 'static.example.com', '--cdn-domain', www, '--cdn-domain', api]
  const look = [...briefly, ...dialling(edge)]
  const run = await world.deploy(material, [...world.withLayout, ...words, '--verify', ...look, '--json'])
  ends(t, run, 3)
  const result = resultOf(run)
  t.equal(result.ok, false)
  t.strictSame(stageLines(result.stages), [
    `oss ${bucket}/${prefix} changed: archive changed, latest changed, private unchanged`,
    `oss-cname ${bucket}/static.example.com changed: bind changed, served unchanged`,
    `cdn ${www} failed: bind changed, served failed`,
    `cdn ${api} changed: bind changed, served unchanged`,
  ])
  t.same(openLines(result.pending), [`cdn ${www}: served NOT_SERVED`])
  const error = stepError(result)
  t.match(error, { code: 'NOT_SERVED', vendor: null })
  t.match(
    error.message,
    `${www} at ${placeOf(edge)}: another certificate is served: ${shortSum(before)}, valid until ${minuteOf(before)}, instead of ${shortSum(material)}`,
  )
  t.match(error.hint, /^the certificate from before is still served.*: wait with --verify-timeout 600/)
  t.match(run.stderr, `${www}: 0 of 1 addresses serve it; another certificate is served`, 'said while it is waited for')
  t.ok(edge.handshakes.filter(({ host }) => host === www).length >= 2, 'it was looked at again, until the time was up')
  t.same(pendingOf(await statusOf(t, world)).length, 1)

  const from = emulator.requests.length
  const still = await sync(world, ['--now', '--json', ...look])
  ends(t, still, 1)
  t.match(resultsOf(still).results[0], {
    stages: [{ target: `cdn ${www}`, status: 'failed', steps: [{ id: 'served', status: 'failed' }] }],
  })
  t.same(emulator.requests.slice(from), [], 'what is bound is not bound again, nor even asked for')

  edge.serve(www, undefined)
  const done = await sync(world, ['--now', '--json', ...look])
  ends(t, done, 0)
  t.match(resultsOf(done).results[0], {
    stages: [{ target: `cdn ${www}`, status: 'unchanged', steps: [{ id: 'served', status: 'unchanged' }] }],
    pending: [],
  })
  t.same(changesIn(emulator.requests.slice(from)), [])
  t.equal(countOf(emulator.requests, 'cdn:SetCdnDomainSSLCertificate'), 2, 'once for each domain')
  await provesSettled(t, world, material)
})

t.test('nothing is in place yet', together(), async (t) => {
  const [world, edge] = await open(t)
  edge.serve(www, before)
  const words = [...world.withoutLayout, '--cdn-domain', www, '--verify', ...briefly, ...dialling(edge)]
  const run = await world.deploy(material, words)
  ends(t, run, 1)
  t.equal(run.stdout, '', 'nothing is said to be in place')
  t.match(run.stderr, `cdn ${www}: ${www} at ${placeOf(edge)}: another certificate is served`)
  t.match(run.stderr, 'what is missing has been recorded')
  t.equal(stepsIn(world.state), 'bind done, served failed')

  // The wait of sync ends while it runs.
  const waiting = sync(world, ['--now', '--verify-timeout', '40', ...dialling(edge)], {
    onStart: (child) =>
      child.stderr?.on('data', (piece: Buffer) => {
        if (String(piece).includes('0 of 1 addresses')) edge.serve(www, undefined)
      }),
  })
  ends(t, await waiting, 0)
  await provesSettled(t, world, material)
})

t.test('one of two addresses lags behind', together(), async (t) => {
  const [world, edge] = await open(t)
  const late = await world.emulator.startEdge({ address: '127.0.0.2' })
  late.serve(www, before)
  const words = [...world.withoutLayout, '--cdn-domain', www, '--verify', ...briefly, ...dialling(edge, late)]
  const run = await world.deploy(material, [...words, '--json'])
  ends(t, run, 1)
  t.match(stepError(resultOf(run)).message, `${www} at ${placeOf(late)}: another certificate is served`)
  t.match(run.stderr, `${www}: 1 of 2 addresses serve it`)
})

t.test(
  'asked for again without --verify, or for a newer certificate, it is waited for no more',
  together(),
  async (t) => {
    const [world, edge] = await open(t)
    edge.serve(www, before)
    const words = [...world.withoutLayout, '--cdn-domain', www, ...dialling(edge)]
    const verify = ['--verify', '--verify-timeout', '0', '--json']
    ends(t, await world.deploy(material, [...words, ...verify]), 1)
    ends(t, await world.deploy(material, words), 0)
    await provesSettled(t, world, material)

    ends(t, await world.deploy(material, [...words, ...verify]), 1)
    const next = await mintMaterial({
      names: ['example.com', '*.example.com'],
      notBefore: new Date(material.notBefore.getTime() + 60_000),
      notAfter: new Date(material.notAfter.getTime() + day),
    })
    edge.serve(www, undefined)
    ends(t, await world.deploy(next, [...words, ...verify]), 0)
    await provesSettled(t, world, material, next)
    const from = edge.handshakes.length
    ends(t, await sync(world, ['--now', ...dialling(edge)]), 0)
    t.equal(edge.handshakes.length, from, 'nobody looks for the older one any more')
  },
)

t.test('a newer certificate that somebody else has bound is as good', together(), async (t) => {
  const [world, edge] = await open(t)
  const next = await mintMaterial({
    names: ['example.com', '*.example.com'],
    notBefore: new Date(material.notBefore.getTime() + 60_000),
    notAfter: new Date(material.notAfter.getTime() + day),
  })
  edge.serve(www, before)
  const words = [...world.withoutLayout, '--cdn-domain', www, '--verify', '--verify-timeout', '0', ...dialling(edge)]
  ends(t, await world.deploy(material, words), 1)
  edge.serve(www, next)
  const done = await sync(world, ['--now', '--json', ...dialling(edge)])
  ends(t, done, 0)
  t.match(resultsOf(done).results[0]?.stages[0]?.steps, [
    { id: 'served', note: /^a newer one is served by 127\.0\.0\.1$/ },
  ])
})

t.test('interrupted while it waits', together(), async (t) => {
  const [world, edge] = await open(t)
  edge.serve(www, before)
  const words = [...world.withoutLayout, '--cdn-domain', www, '--verify', '--verify-timeout', '600', ...dialling(edge)]
  const run = await world.deploy(material, [...words, '--json'], {
    onStart: (child) =>
      child.stderr?.on('data', (piece: Buffer) => {
        if (String(piece).includes('0 of 1 addresses')) child.kill('SIGINT')
      }),
  })
  t.not(run.code, 0)
  t.equal(run.signal, null, 'it ends in order')
  t.match(resultOf(run).stages[0]?.steps.at(-1), { id: 'served', status: 'failed', error: { code: 'INTERRUPTED' } })
  t.equal(stepsIn(world.state), 'bind done, served failed')
  edge.serve(www, undefined)
  ends(t, await sync(world, ['--now', ...dialling(edge)]), 0)
  await provesSettled(t, world, material)
})

t.test('without --verify it is done when it is bound', together(), async (t) => {
  const [world, edge] = await open(t)
  edge.serve(www, 'nothing')
  const words = [...world.withoutLayout, '--cdn-domain', www, ...dialling(edge)]
  ends(t, await world.deploy(material, words), 0)
  t.equal(stepsIn(world.state), 'bind done')
  t.same(edge.handshakes, [], 'nobody looks')
})

const expired = await mintMaterial({ names: ['example.com', '*.example.com'], notAfter: daysFromNow(-1) })
const others = await mintMaterial({ names: ['shop.example.net'] })
const deep = await mintMaterial({ names: ['*.www.example.com'] })

interface Wrong {
  readonly what: string
  readonly shown: PemPair | 'nothing'
  readonly browser: string
  readonly message: RegExp
  readonly cause: RegExp
  readonly advice: RegExp
}

const wrongs: readonly Wrong[] = [
  {
    what: 'an incomplete chain',
    shown: { fullchain: material.leaf, key: material.key },
    browser: 'ERR_CERT_AUTHORITY_INVALID',
    message: /: the chain served is incomplete: the certificate of CN=Test Intermediate CA is not sent/,
    cause: /^the certificate was deployed without its intermediates; some browsers fetch them/,
    advice: /deploy the full chain \(fullchain\.pem, not cert\.pem\)$/,
  },
  {
    what: 'an expired one',
    shown: expired,
    browser: 'ERR_CERT_DATE_INVALID',
    message:
      /: another certificate is served: [0-9a-f]{8}, valid until \d{4}-\d\d-\d\d \d\d:\d\dZ, instead of [0-9a-f]{8}/,
    cause: /^the certificate from before is still served/,
    advice: /wait with --verify-timeout 600/,
  },
  {
    what: 'a name that is not covered',
    shown: others,
    browser: 'ERR_CERT_COMMON_NAME_INVALID',
    message: /: the certificate served is for shop\.example\.net, not for www\.example\.com/,
    cause: /^no certificate is hosted for www\.example\.com where it leads/,
    advice: /see where DNS of www\.example\.com leads: deploy to OSS with --oss-cname, or to CDN with --cdn-domain$/,
  },
  {
    what: 'a wildcard of the wrong level',
    shown: deep,
    browser: 'ERR_CERT_COMMON_NAME_INVALID',
    message: /: the certificate served is for \*\.www\.example\.com, not for www\.example\.com/,
    cause: /\*\.www\.example\.com does not cover www\.example\.com itself|no certificate is hosted/,
    advice: /\S/,
  },
  {
    what: 'a handshake that is refused',
    shown: 'nothing',
    browser: 'ERR_SSL_VERSION_OR_CIPHER_MISMATCH',
    message: /: the TLS handshake is refused \(handshake failure\)/,
    cause: /^no certificate is hosted for www\.example\.com where it leads/,
    advice: /\S/,
  },
]

for (const { what, shown, browser, message, cause, advice } of wrongs) {
  t.test(what, together(), async (t) => {
    const [world, edge] = await open(t)
    edge.serve(www, shown)
    const words = [...world.withoutLayout, '--cdn-domain', www, '--verify', '--verify-timeout', '0', ...dialling(edge)]
    const run = await world.deploy(material, [...words, '--json'])
    ends(t, run, 1)
    const { code, message: said, hint } = stepError(resultOf(run))
    t.equal(code, 'NOT_SERVED')
    t.match(said, message)
    t.match(said, `browsers show ${browser}`, 'as browsers call it')
    t.match(hint, cause, 'the likely cause')
    t.match(hint, advice, 'what to do')
    const text = await world.deploy(material, words, { terse: true })
    t.match(text.stderr, said, 'a person reads the same')
    t.match(text.stderr, hint ?? '-')

    // The same host, looked at by itself.
    const sum = ['--expect-sha256', String(resultOf(run).certificate?.['sha256'])]
    const verify = await world.run(['verify', www, ...sum, ...dialling(edge)], { terse: true })
    ends(t, verify, 1)
    t.match(verify.stdout, `browsers show: ${browser}\n`)
    const status = await world.run(['status', '--live', ...dialling(edge)], { terse: true })
    ends(t, status, 1)
    t.match(status.stdout, new RegExp(`^ {6}${www.replaceAll('.', '\\.')}${message.source}`, 'm'), 'status --live, too')

    edge.serve(www, undefined)
    ends(t, await sync(world, ['--now', ...dialling(edge)]), 0)
    await provesSettled(t, world, material)
  })
}

const shortSum = ({ x509 }: Material): string => x509.fingerprint256.replaceAll(':', '').toLowerCase().slice(0, 8)
const minuteOf = ({ notAfter }: Material): string => `${notAfter.toISOString().slice(0, 16).replace('T', ' ')}Z`

await proveSilence(t)

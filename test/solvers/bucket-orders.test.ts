// A real CA (Pebble) is shown names that are bound to a bucket, or that CDN serves from one.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { mintMaterial } from '../deploy-world.js'
import { findBelow, isServable, orderAt, startWithPebble, testOutput } from '../issue-command.js'
import { hasPebble } from '../pebble.js'

if (!hasPebble()) t.bailout('pebble is not installed')

const website = 'my-website'
const folder = '.well-known/acme-challenge/'

t.test('orders', async (t) => {
  const [pebble, place] = await startWithPebble(t)
  const { emulator } = place
  await emulator.startPlainEdge({ port: pebble.httpPort })
  const edge = await emulator.startEdge()
  const site = emulator.addBucket(website)
  const others = ['index.html', `${folder}somebody-elses`]
  for (const key of others) emulator.putObject(website, key, 'stays')
  const [bound, cdn, redirected] = ['site.example.com', 'cdn.example.com', 'tls.example.com'] as const
  emulator.bindCname(bound, website)
  emulator.addCdnDomain(cdn, { origin: website })
  emulator.addCdnDomain(redirected, {
    origin: website,
    certificate: await mintMaterial({ names: [redirected] }),
    forcedRedirect: edge.port,
  })
  const run = (...names: readonly string[]) =>
    place.run([
      ...[...orderAt(pebble, ...names), '--solver', 'bucket', '--http-port', String(pebble.httpPort)],
      ...['--tls-port', String(edge.port), '--dns-resolver', `127.0.0.1:${pebble.dnsPort}`],
      ...[...place.toBucket, '--oss-cname', `${website}/${bound}`, '--json', '--timeout', '10'],
    ])
  const isCleanedUp = (about: string) => t.same([...emulator.objects(website).keys()].sort(), others.sort(), about)

  t.test('a bound domain, one behind CDN, and one that redirects to HTTPS', async (t) => {
    const names = [bound, cdn, redirected]
    const result = await run(...names)
    if (!t.equal(result.code, 0)) t.comment(result.stderr + result.stdout)
    await isServable(t, pebble, place, names)
    isCleanedUp('nothing is left, and nothing else is gone')
    const asked = emulator.requests.filter(({ headers }) => headers['user-agent']?.includes('LetsEncrypt-Pebble'))
    t.same(
      [...new Set(asked.map(({ host }) => host.replace(/:\d+$/, '')))].sort(),
      [...names].sort(),
      'by the CA itself',
    )
    t.ok(asked.some(({ host, secure }) => secure && host.startsWith(redirected)))
    t.equal(emulator.cname(bound)?.certificate?.type, 'Upload', 'and the domain has the certificate')
    const stored = JSON.parse(readFileSync(findBelow(place.state, 'certificate.json'), 'utf8')) as object
    t.match(JSON.stringify(stored), new RegExp(`"challengeBucket":"${website}","challengeRegion":"cn-hangzhou"`))
    t.match(
      JSON.stringify(stored),
      new RegExp(`"challengeEndpoint":"${emulator.url}","challengeEndpointIs":"endpoint"`),
    )
  })

  t.test('an answer that cannot be seen is not shown to the CA', async (t) => {
    site.denyPlainHttp = true
    const mark = pebble.mark()
    const { code, json } = await run(bound, 'more.example.com')
    t.equal(code, 1)
    t.match(json.error, { code: 'SOLVER_FAILED', message: /AccessDenied/, hint: /acs:SecureTransport/ })
    t.match(json.error?.message, /more\./, 'of both names')
    t.equal(pebble.requests(mark)['POST /chalZ'], undefined, 'no validation has failed')
    isCleanedUp('an order that was not gone on with')
    site.denyPlainHttp = false
  })

  t.test('where this machine cannot tell, the CA is asked, and cleaned up after', async (t) => {
    // Nothing listens there.
    await pebble.dns.addA('away.example.com', ['127.0.0.2'])
    const { code, json, stderr } = await run(bound, 'away.example.com')
    t.equal(code, 1)
    t.match(stderr, /away\.example\.com cannot be looked at from here \(ECONNREFUSED\)/)
    t.match(json.error, { code: 'CHALLENGE_FAILED', message: /^away\.example\.com: the http-01 challenge failed/ })
    isCleanedUp('an order that failed')
  })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))

// Five hundred CDN domains at once: all are done, the vendor's limits are never met, and memory stays small.
import t from 'tap'
import { daysFromNow } from '../deploy-world.js'
import { countOf, mint, openBinding, pair, proveNoKeyLeaks, sha256Of } from './binding-world.js'

// Calls per second that the vendor allows an account, for what changes something.
const most = 30
const all = 500
// The rest has the certificate already, which spares half of the calls.
const toDo = 100

t.test('500 domains', async (t) => {
  const names = ['*.example.com']
  const older = await mint({ names, notBefore: daysFromNow(-40), notAfter: daysFromNow(50) })
  const material = await mint({ names })
  const world = await openBinding(t)
  const { emulator } = world
  for (let i = 0; i < all; i++) {
    emulator.addCdnDomain(`n${i}.example.com`, { certificate: pair(i < toDo ? older : material) })
  }
  emulator.cdn.callsPerSecond = most
  const shown = new Set<string>()
  const { result, stderr, requests } = await world.give(t, material, ['--cdn-domain', 'auto', ...world.toEdges], {
    nodeOptions: ['--max-old-space-size=64'],
    terse: true,
    longest: 110_000,
  })
  for (const { name, certificate } of emulator.cdn.domains) {
    if (certificate?.sha256 === sha256Of(material)) shown.add(name)
  }
  t.equal(shown.size, all)
  const steps = result.stages.flatMap((stage) => stage.steps)
  const count = (status: string): number => steps.filter((step) => step.status === status).length
  t.equal(steps.length, all + 1)
  t.equal(count('changed'), toDo)
  t.equal(count('unchanged'), all - toDo + 1)
  t.equal(countOf(requests, 'cdn:SetCdnDomainSSLCertificate'), toDo)
  t.equal(countOf(requests, 'cdn:DescribeDomainCertificateInfo'), all + toDo)
  t.equal(countOf(requests, 'cdn:DescribeUserDomains'), 1)

  t.same(
    requests.filter(({ answer }) => answer?.code !== undefined).map(({ answer }) => answer?.code),
    [],
    'the limit never strikes',
  )
  for (const action of new Set(requests.map((request) => request.action ?? ''))) {
    t.ok(emulator.busiestSecond(action) <= most, `${action}: ${emulator.busiestSecond(action)} in the busiest second`)
  }
  // All together by the clock of the sender: here a test that was held up would see them come all at once.
  const seconds = requests.map(({ headers }) => headers['x-acs-date'])
  const busiest = Math.max(...[...new Set(seconds)].map((one) => seconds.filter((other) => other === one).length))
  t.ok(busiest <= most, `${busiest} in one second`)
  t.comment(`as they came: ${emulator.busiestSecond('cdn:*')} in the busiest second`)

  const lines = stderr.split('\n').filter((line) => / cdn: give it to the CDN domain n\d+\.example\.com/.test(line))
  t.equal(new Set(lines.map((line) => /n\d+\./.exec(line)?.[0])).size, all, 'a line for each')
  t.equal(lines.length, all)
})

await proveNoKeyLeaks(t)

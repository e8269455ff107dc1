// A place is one and the same whether it was named or found: which certificate it is to hold is told by both.
import t from 'tap'
import { bucket, daysFromNow, deploymentsIn } from '../deploy-world.js'
import {
  type BindingWorld,
  countOf,
  lineOf,
  mint,
  only,
  openBinding,
  pair,
  proveNoKeyLeaks,
  type SyncShape,
  sha256Of,
} from './binding-world.js'
import { cdn } from './edge-products.js'

const names = ['*.example.com']
const oldest = await mint({ names, notBefore: daysFromNow(-80), notAfter: daysFromNow(10) })
const older = await mint({ names, notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })
const newer = await mint({ names })
const www = 'www.example.com'

const ofCdn = (world: BindingWorld, domain: string): string[] => ['--cdn-domain', domain, ...world.toEdges]
const ofBucket = (world: BindingWorld, domain: string): string[] => [
  '--oss-cname',
  `${bucket}/${domain}`,
  ...world.toBuckets,
]

/** Of a place of two products: neither tells what it holds. */
const places = [
  {
    what: 'cdn',
    put: cdn.set,
    denied: [{ action: cdn.look, resource: '*' }],
    words: ofCdn,
    add: ({ emulator }: BindingWorld) => void emulator.addCdnDomain(www, { certificate: pair(oldest) }),
    standing: ({ emulator }: BindingWorld) => emulator.cdn.domain(www)?.certificate?.sha256,
  },
  {
    what: 'oss-cname',
    put: 'oss:PutCname',
    denied: [],
    words: ofBucket,
    add: ({ emulator }: BindingWorld) => void emulator.bindCname(www, bucket, { certificate: pair(oldest) }),
    standing: ({ emulator }: BindingWorld) => emulator.cname(www)?.certificate?.sha256,
  },
] as const

for (const { what, put, denied, words, add, standing } of places) {
  for (const [first, second] of [
    ['auto', www],
    [www, 'auto'],
  ] as const) {
    t.test(`${what}: the older one for ${first}, the newer for ${second}`, async (t) => {
      const world = await openBinding(t, { key: { deny: denied } })
      add(world)
      const fault = world.emulator.fail({ action: put }, { status: 403, code: 'Forbidden.Test' })
      await world.give(t, older, words(world, first), { code: 1 })
      fault.remove()
      await world.give(t, newer, words(world, second))
      t.equal(standing(world), sha256Of(newer))
      t.same(
        deploymentsIn(world.state).flatMap(({ privateKey }) => privateKey ?? []),
        [],
        'nothing of the older one is wanted any more',
      )
      const status = await world.run(['status', '--json', '--no-look'])
      t.equal(status.code, 0)
      t.match(lineOf<SyncShape>(status).results, only({ pending: only() }))
      const from = world.emulator.requests.length
      await world.syncNow(t)
      t.equal(countOf(world.emulator.requests.slice(from), put), 0)
      t.equal(standing(world), sha256Of(newer))
    })
  }
}

t.test('the older one has not found the place yet when the newer one is put there', async (t) => {
  const world = await openBinding(t, { key: { deny: [{ action: cdn.look, resource: '*' }] } })
  for (const one of [www, 'img.example.com']) world.emulator.addCdnDomain(one, { certificate: pair(oldest) })
  const fault = world.emulator.fail({ action: cdn.list }, { status: 403, code: 'Forbidden.Test' })
  await world.give(t, older, ofCdn(world, 'auto'), { code: 1 })
  fault.remove()
  await world.give(t, newer, ofCdn(world, www))
  await world.syncNow(t)
  t.equal(world.emulator.cdn.domain(www)?.certificate?.sha256, sha256Of(newer))
  t.equal(
    world.emulator.cdn.domain('img.example.com')?.certificate?.sha256,
    sha256Of(older),
    'where the newer one is not wanted',
  )
})

await proveNoKeyLeaks(t)

// `kill -9` at any moment of a run that finds its domains as it goes: around requests all over the run, between the
// finding and what was found, and before changes of files. What is left is finished by `sync --now`, whole.
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { bucket, deploymentsIn, proveSilence, provesLayout, resultOf, until } from '../deploy-world.js'
import type { Fault, FaultCondition } from '../emulator/fault.js'
import { ends, killBefore, pendingOf, provesNoKey, provesUnblocked, resultsOf, sync } from '../sync/hook-call.js'
import {
  changesIn,
  dialling,
  mintBefore,
  mintWildcard,
  openLines,
  openServedWorld,
  recordLines,
  type ServedWorld,
} from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const material = await mintWildcard()
const before = await mintBefore()
const found = ['www', 'img', 'cdn', 'api'].map((label) => `${label}.example.com`)

interface Killable extends ServedWorld {
  readonly words: readonly string[]
  readonly look: readonly string[]
  /** Of the leaf that is wanted everywhere. */
  readonly sum: string
}

const sum = material.x509.fingerprint256.replaceAll(':', '').toLowerCase()

const open = async (t: Test): Promise<Killable> => {
  const world = await openServedWorld(t)
  const { emulator } = world
  emulator.bindCname('static.example.com', bucket, { certificate: before })
  for (const domain of found) emulator.addCdnDomain(domain, { certificate: before, origin: bucket })
  emulator.addCdnDomain('off.example.com')
  emulator.addCdnDomain('shop.example.net', { certificate: before })
  const look = ['--verify-timeout', '20', ...dialling(await emulator.startEdge())]
  const words = [
    ...[...world.withLayout, '--oss-cname', 'static.example.com', '--cdn-domain', 'auto'],
    ...['--verify', ...look],
  ]
  return { ...world, words, look, sum }
}

const provesWhole = (t: Test, { emulator, objects, state }: Killable): void => {
  provesLayout(t, objects, material)
  t.equal(emulator.cname('static.example.com')?.certificate?.sha256, sum, 'OSS hosts it')
  for (const domain of found) t.equal(emulator.cdn.domain(domain)?.certificate?.sha256, sum, `${domain} has it`)
  t.equal(emulator.cdn.domain('shop.example.net')?.certificate?.fullchain, before.fullchain)
  const steps = deploymentsIn(state).flatMap(({ record }) =>
    Object.values(record.targets).flatMap((target) => (target.kind === 'cdn' ? Object.keys(target.steps) : [])),
  )
  t.same(
    steps.sort(),
    ['find', ...found.flatMap((domain) => [`bind ${domain}`, `served ${domain}`])].sort(),
    'each step that was found is on record',
  )
}

const recovers = async (t: Test, world: Killable): Promise<void> => {
  const done = await sync(world, ['--now', '--json', ...world.look])
  ends(t, done, 0)
  t.same(openLines(pendingOf(resultsOf(done))), [])
  provesWhole(t, world)
  await provesUnblocked(t, world, material)
  const from = world.emulator.requests.length
  ends(t, await sync(world, ['--now', ...world.look]), 0)
  t.same(world.emulator.requests.slice(from), [], 'nothing is left to do')
}

/** What was found and is crossed off as found is on record, whenever the process ended. */
const provesFound = (t: Test, world: Killable): void => {
  const cdn = recordLines(world).find((line) => line.startsWith('cdn auto')) ?? ''
  if (cdn.includes('find done')) {
    for (const domain of found) t.match(cdn, ` bind ${domain} `, 'no domain is lost between finding and doing')
  } else t.match(cdn, 'find pending', 'it is found again')
}

const killedOn = async (t: Test, world: Killable, when: FaultCondition, fault: Fault): Promise<void> => {
  const rule = world.emulator.fail(when, fault)
  const run = await world.deploy(material, world.words, {
    onStart: (child) =>
      void until(`the request ${JSON.stringify(when)}`, () => rule.hits > 0)
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGKILL')),
  })
  t.equal(run.signal, 'SIGKILL')
  rule.remove()
  t.ok(deploymentsIn(world.state).length === 1, 'it was written down before the first request')
  provesFound(t, world)
}

/** What an undisturbed run asks for. */
const clean = await open(t)
const cleanRun = await clean.deploy(material, [...clean.words, '--json'])
ends(t, cleanRun, 0)
t.equal(resultOf(cleanRun).pending.length, 0)
provesWhole(t, clean)
const count = clean.emulator.requests.length
t.equal(changesIn(clean.emulator.requests).length, 15, 'ten objects and five domains')

// Around a third of the requests, from the first to the last; whether before or after it is carried out takes turns.
const samples = Array.from({ length: 14 }, (_, i) => 1 + Math.round((i * (count - 1)) / 13))
samples.forEach((nth, i) => {
  const when = i % 2 === 0 ? 'before' : 'after'
  t.test(`killed ${when} request ${nth} of ${count} was carried out`, together(), async (t) => {
    const world = await open(t)
    await killedOn(t, world, { nth }, when === 'before' ? { hang: true } : { reset: 'after' })
    await recovers(t, world)
  })
})

for (const [what, when, fault] of [
  ['while the domains are found', { action: 'cdn:DescribeUserDomains' }, { hang: true }],
  [
    'when they were found, before the first is looked at',
    { action: 'cdn:DescribeDomainCertificateInfo' },
    { hang: true },
  ],
  ['when two of them were bound', { action: 'cdn:SetCdnDomainSSLCertificate', nth: 3 }, { hang: true }],
] as const) {
  t.test(`killed ${what}`, together(), async (t) => {
    const world = await open(t)
    await killedOn(t, world, when, fault)
    await recovers(t, world)
  })
}

t.test('sync itself killed again and again', together(), async (t) => {
  const world = await open(t)
  await killedOn(t, world, { nth: 2 }, { hang: true })
  for (const nth of [1, 5, 9]) {
    const rule = world.emulator.fail({ nth }, { hang: true })
    const run = await sync(world, ['--now', ...world.look], {
      onStart: (child) =>
        void until(`request ${nth} of sync`, () => rule.hits > 0)
          .catch((error: unknown) => t.fail(String(error)))
          .finally(() => child.kill('SIGKILL')),
    })
    t.equal(run.signal, 'SIGKILL')
    rule.remove()
    provesFound(t, world)
  }
  await recovers(t, world)
})

t.test('found again when a domain has gone and another has come', together(), async (t) => {
  const world = await open(t)
  await killedOn(t, world, { action: 'cdn:SetCdnDomainSSLCertificate', nth: 1 }, { hang: true })
  world.emulator.addCdnDomain('new.example.com', { certificate: before })
  ends(t, await sync(world, ['--now', ...world.look]), 0)
  t.equal(world.emulator.cdn.domain('www.example.com')?.certificate?.sha256, sum)
  const again = await world.deploy(material, world.words)
  ends(t, again, 0)
  t.equal(world.emulator.cdn.domain('new.example.com')?.certificate?.sha256, sum, 'the next run finds it')
})

// --- before changes of files ---

t.test('killed before changes of files', together(), async (t) => {
  // Every change until it makes no more would take minutes: the first ones, where the record begins, and then some.
  for (const nth of [8, 12, 16, 19, 22, 25, 28, 32]) {
    await t.test(`before change ${nth}`, async (t) => {
      const world = await open(t)
      const run = await world.deploy(material, world.words, { nodeOptions: [killBefore(nth)] })
      t.equal(run.signal, 'SIGKILL', run.stderr)
      if (deploymentsIn(world.state).length === 0) {
        t.same(world.emulator.requests, [], 'nothing is asked for before it is written down')
        ends(t, await world.deploy(material, world.words), 0)
        provesWhole(t, world)
        return
      }
      provesFound(t, world)
      await recovers(t, world)
    })
  }
})

t.test('nothing of the undisturbed run is left', async (t) => {
  provesNoKey(t, clean, material)
  t.ok(existsSync(clean.state))
})

await proveSilence(t)

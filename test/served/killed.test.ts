// `kill -9` at any moment of a run that finds its domains as it goes: around requests all over the run, and between the
// finding and what was found. What is left is finished by `sync --now`, whole.
import t from 'tap'
import { proveSilence, resultOf } from '../deploy-world.js'
import { ends } from '../sync/hook-call.js'
import { killedOn, material, open, provesWhole, recovers } from './killed-world.js'
import { changesIn } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

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

await proveSilence(t)

// What the tests of kills share: a run that finds four domains as it goes, and what has to come of it.
import type { Test } from 'tap'
import { bucket, deploymentsIn, provesLayout, until } from '../deploy-world.js'
import type { Fault, FaultCondition } from '../emulator/fault.js'
import { ends, pendingOf, provesUnblocked, resultsOf, sync } from '../sync/hook-call.js'
import {
  dialling,
  mintBefore,
  mintWildcard,
  openLines,
  openServedWorld,
  recordLines,
  type ServedWorld,
} from './served-world.js'

export const material = await mintWildcard()
export const before = await mintBefore()
const found = ['www', 'img', 'cdn', 'api'].map((label) => `${label}.example.com`)

export interface Killable extends ServedWorld {
  readonly words: readonly string[]
  readonly look: readonly string[]
}

/** Of the leaf that is wanted everywhere. */
export const sum = material.x509.fingerprint256.replaceAll(':', '').toLowerCase()

export const open = async (t: Test): Promise<Killable> => {
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
  return { ...world, words, look }
}

export const provesWhole = (t: Test, { emulator, objects, state }: Killable): void => {
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

export const recovers = async (t: Test, world: Killable): Promise<void> => {
  // Another process than the one that was killed; none has to be started for it.
  const done = await sync(world, ['--now', '--json', ...world.look], { here: true })
  ends(t, done, 0)
  t.same(openLines(pendingOf(resultsOf(done))), [])
  provesWhole(t, world)
  await provesUnblocked(t, world, material)
  const from = world.emulator.requests.length
  ends(t, await sync(world, ['--now', ...world.look], { here: true }), 0)
  t.same(world.emulator.requests.slice(from), [], 'nothing is left to do')
}

/** What was found and is crossed off as found is on record, whenever the process ended. */
export const provesFound = (t: Test, world: Killable): void => {
  const cdn = recordLines(world).find((line) => line.startsWith('cdn auto')) ?? ''
  if (cdn.includes('find done')) {
    for (const domain of found) t.match(cdn, ` bind ${domain} `, 'no domain is lost between finding and doing')
  } else t.match(cdn, 'find pending', 'it is found again')
}

export const killedOn = async (t: Test, world: Killable, when: FaultCondition, fault: Fault): Promise<void> => {
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

// `kill -9` before changes of files, of `sync` again and again, and of a run whose domains are others afterwards.
import t from 'tap'
import { deploymentsIn, proveSilence, until } from '../deploy-world.js'
import { ends, killBefore, sync } from '../sync/hook-call.js'
import { before, killedOn, material, open, provesFound, provesWhole, recovers, sum } from './killed-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

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

t.test('killed before changes of files', together(), async (t) => {
  // Every change until it makes no more would take minutes: the first ones, where the record begins, and then some.
  for (const nth of [7, 10, 13, 16, 18, 20, 22, 25]) {
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

await proveSilence(t)

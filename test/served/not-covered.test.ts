// A certificate that does not cover what would be served with it is refused before anything is asked for, written down
// or ordered; what a client has handed over is kept.
import { existsSync, readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { bucket, type Material, mintMaterial, proveSilence, resultOf } from '../deploy-world.js'
import { answering } from '../proof/tls-server.js'
import { callHook, ends, keysIn, pendingOf, provesSettled, resultsOf, statusOf, sync } from '../sync/hook-call.js'
import { openServedWorld, type ServedWorld, stageLines } from './served-world.js'

t.jobs = 2
/** A new one each time: tap keeps things of its own in it. */
const together = () => ({ buffered: true })

const wildcard = await mintMaterial({ names: ['*.example.com'] })
const plain = await mintMaterial({ names: ['example.com', 'www.example.com'] })

interface Case {
  readonly what: string
  readonly material: Material
  readonly words: readonly string[]
  readonly target: string
  readonly name: string
  readonly hint: string
}

const deep = {
  name: 'a.b.example.com',
  hint: '*.example.com stands for exactly one label, so it does not cover a.b.example.com; the certificate needs *.b.example.com or that very name',
}
const bare = {
  name: 'example.com',
  hint: '*.example.com does not cover example.com itself; the certificate needs that name as well',
}

const cases: readonly Case[] = [
  ...(
    [
      ['--cdn-domain', 'cdn'],
      ['--dcdn-domain', 'dcdn'],
      ['--oss-cname', 'oss-cname'],
    ] as const
  ).flatMap(([flag, kind]) =>
    [deep, bare].map(({ name, hint }) => ({
      what: `${name} under *.example.com, ${kind}`,
      material: wildcard,
      words: [flag, name],
      target: kind === 'oss-cname' ? `${kind} ${bucket}/${name}` : `${kind} ${name}`,
      name,
      hint,
    })),
  ),
  {
    what: 'a wildcard domain, and no wildcard in the certificate',
    material: plain,
    words: ['--cdn-domain', '*.example.com'],
    target: 'cdn .example.com',
    name: '*.example.com',
    hint: 'the certificate is for example.com, www.example.com',
  },
  {
    what: 'the same as CDN spells it',
    material: plain,
    words: ['--cdn-domain', '.example.com'],
    target: 'cdn .example.com',
    name: '*.example.com',
    hint: 'the certificate is for example.com, www.example.com',
  },
  {
    what: 'one of several',
    material: plain,
    words: ['--cdn-domain', 'www.example.com', '--cdn-domain', 'shop.example.net'],
    target: 'cdn shop.example.net',
    name: 'shop.example.net',
    hint: 'the certificate is for example.com, www.example.com',
  },
]

/** The domains are there; it is not for lack of them. */
const open = async (t: Test, here = false): Promise<ServedWorld> => {
  const world = await openServedWorld(t, { here })
  for (const name of ['a.b.example.com', 'example.com', '.example.com', 'www.example.com', 'shop.example.net']) {
    world.emulator.addCdnDomain(name)
    world.emulator.addDcdnDomain(name)
    if (!name.startsWith('.')) world.emulator.bindCname(name, bucket)
  }
  return world
}

const provesUntouched = (t: Test, { emulator, state }: ServedWorld): void => {
  t.same(emulator.requests, [], 'nothing was asked for')
  const files = existsSync(state) ? readdirSync(state, { recursive: true }) : []
  t.same(files, [], 'the state folder is empty')
}

cases.forEach(({ what, material, words, target, name, hint }, i) => {
  t.test(what, together(), async (t) => {
    // Nothing is looked at; the first is tried as it is published.
    const world = await open(t, i > 0)
    const all = [...world.withLayout, ...words]
    const error = {
      code: 'NAME_NOT_COVERED',
      message: `${target}: the certificate does not cover ${name}`,
      hint,
      vendor: null,
    }
    for (const more of i % 3 === 0 ? [[], ['--dry-run'], ['--verify']] : [['--verify']]) {
      const run = await world.deploy(material, [...all, ...more, '--json'])
      ends(t, run, 2)
      t.strictSame(resultOf(run).error, error)
      t.same(resultOf(run).stages, [])
    }
    const text = await world.deploy(material, all, { terse: true })
    ends(t, text, 2)
    t.equal(text.stdout, '')
    t.equal(text.stderr, `error: ${error.message}\n  what to do: ${hint}\n`)
    provesUntouched(t, world)

    const hook = await callHook(world, material, { words: [...all, '--json'] })
    ends(t, hook, 1)
    t.match(resultOf(hook), { command: 'hook', ok: false, stages: [], error })
    t.match(resultOf(hook).pending, [{ target: null, step: null, error }])
    t.same(world.emulator.requests, [], 'nothing was asked for')
    t.equal(keysIn(world.state).length, 1, 'what was handed over is kept')
    // What becomes of it is the same for all.
    if (i % 3 > 0) return
    const status = await statusOf(t, world)
    t.match(pendingOf(status), [{ target: null, step: null, error }])
    t.match((await world.run(['status'], { terse: true })).stdout, 'nobody knows yet where it is to go')
    ends(t, await sync(world, ['--now', ...all]), 1)
    t.same(world.emulator.requests, [])

    // Once the mistake is mended, sync does all of it.
    const mended = await sync(world, ['--now', '--json', ...world.withLayout, '--cdn-domain', 'www.example.com'])
    ends(t, mended, 0)
    t.same(
      resultsOf(mended).results.flatMap(({ stages }) => stages.map(({ status: one }) => one)),
      ['changed', 'changed'],
    )
    await provesSettled(t, world, material)
  })
})

t.test('auto takes what is covered, and leaves the rest alone', together(), async (t) => {
  const world = await open(t)
  world.emulator.addCdnDomain('img.example.com', { certificate: plain })
  const words = [...world.withoutLayout, '--cdn-domain', 'auto', '--enable-https', '--oss-cname', 'auto', '--json']
  const run = await world.deploy(wildcard, words)
  ends(t, run, 0)
  t.strictSame(stageLines(resultOf(run).stages), [
    `oss-cname ${bucket}/auto changed: find unchanged, bind www.example.com changed`,
    'cdn auto changed: find unchanged, bind .example.com changed, bind www.example.com changed, bind img.example.com changed',
  ])
  await provesSettled(t, world, wildcard)
})

t.test('nothing is ordered for it', together(), async (t) => {
  const world = await open(t)
  let connections = 0
  const ca = await answering(t, (socket) => {
    connections += 1
    socket.destroy()
  })
  const order = [
    ...['issue-and-deploy', '--ca', `https://${ca.connect}/dir`, '--email', 'a@example.com', '--agree-tos'],
    ...['--timeout', '1', '--challenge', 'http-01', '--solver', 'standalone', '--json', ...world.withLayout],
  ]
  for (const words of [
    ['-d', 'example.com', '--cdn-domain', 'www.example.com'],
    ['-d', 'example.com', '--cdn-domain', '*.example.com'],
    ['-d', 'example.com', '--oss-cname', 'www.example.com'],
  ]) {
    for (const more of [[], ['--dry-run']]) {
      const run = await world.call([...order, ...words, ...more])
      ends(t, run, 2)
      t.match(JSON.parse(run.stdout), { ok: false, stages: [], error: { code: 'NAME_NOT_COVERED' } })
      provesUntouched(t, world)
    }
  }
  t.equal(connections, 0, 'the CA was not even called')
  const right = await world.run([...order, '-d', 'example.com', '--cdn-domain', 'example.com'])
  ends(t, right, 1)
  t.ok(connections > 0, 'for what is covered it is')
})

await proveSilence(t)

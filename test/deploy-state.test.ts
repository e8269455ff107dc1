// What is wanted is written down before anything is tried, whatever happens to the process after that.
import { type ChildProcess, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  bucket,
  daysFromNow,
  deploymentsIn,
  fileNames,
  isRoot,
  type Material,
  mintMaterial,
  modesBelow,
  openWorld,
  prefix,
  proveSilence,
  provesFiles,
  provesLayout,
  putKeys,
  resultOf,
  sha256,
  stepError,
  stepsIn,
  until,
  type World,
} from './deploy-world.js'
import type { RunResult } from './run-command.js'

t.jobs = 3
/** A new one each time: tap keeps things of its own in it. */
const together = (more: { readonly skip?: string | false } = {}) => ({ buffered: true, ...more })

const material = await mintMaterial()
const older = await mintMaterial({ notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })

const ends = (t: Test, run: RunResult, code: number): void =>
  void t.equal(run.code, code, run.code === code ? `exit ${code}` : run.stdout + run.stderr)

/** Runs until `holds`, looks, and kills it in that very moment. */
const killedWhen = async (
  t: Test,
  world: World,
  what: string,
  holds: () => boolean,
  look: (child: ChildProcess) => void = () => undefined,
): Promise<RunResult> => {
  const run = await world.deploy(material, world.toBucket, {
    onStart: (child) =>
      void until(what, holds)
        .then(() => look(child))
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGKILL')),
  })
  t.equal(run.signal, 'SIGKILL')
  return run
}

/** In this process, which is another one than the one that was killed, all the same. */
const deployHere = (world: World, words = world.toBucket): Promise<RunResult> =>
  world.deploy(material, words, { here: true })

const provesDone = (t: Test, world: World, wanted = material): void => {
  provesLayout(t, world.objects, wanted)
  t.equal(stepsIn(world.state), 'archive done, latest done')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined, 'the record lets go of the key')
  t.same(readdirSync(join(world.state, 'locks')), [], 'the lock is given back')
}

const everythingIn = (folder: string): string =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => `${path}\n${readFileSync(path, 'latin1')}`)
    .join('\n')

t.test('the wanted deployment is on disk before the first request', async (t) => {
  const token = 'CAISnotarealtokenbutlongenoughtobelookedfor'
  const world = await openWorld(t, { key: { token } })
  const version = sha256(material.x509.raw).slice(0, 12)
  world.emulator.fail({}, { hang: true })
  // Nothing is left to the caller's umask.
  const umask = process.umask(0)
  await killedWhen(
    t,
    world,
    'the first request',
    () => world.emulator.requests.length > 0,
    (child) => {
      process.umask(umask)
      const [found, ...more] = deploymentsIn(world.state)
      t.same(more, [])
      t.equal(found?.folder, `example.com/${version}`)
      t.equal(found?.fullchain, material.fullchain)
      t.equal(found?.privateKey, material.key)
      t.match(found?.record, { schema: 1, name: 'example.com', names: material.names, archive: material.archive })
      t.same(Object.values(found?.record.targets ?? {}), [
        {
          kind: 'oss',
          name: `oss ${bucket}/${prefix}`,
          settings: { bucket, region: 'cn-hangzhou', prefix, endpoint: world.emulator.url },
          steps: { archive: { status: 'pending' }, latest: { status: 'pending' } },
        },
      ])
      t.match(Object.keys(found?.record.targets ?? {}), [
        /^oss .*my-ssl-certs\/certs\/example\.com\/.*127\.0\.0\.1:\d+$/,
      ])
      const folder = `deployments/example.com/${version}`
      t.same(modesBelow(world.state), {
        '': '0700',
        deployments: '0700',
        'deployments/example.com': '0700',
        [folder]: '0700',
        [`${folder}/fullchain.pem`]: '0600',
        [`${folder}/privkey.pem`]: '0600',
        [`${folder}/record.json`]: '0600',
        locks: '0700',
        'locks/example.com.lock': '0600',
        'locks/at%20oss%20my-ssl-certs%2Fcerts%2Fexample.com%2F.lock': '0600',
      })
      const lock = JSON.parse(readFileSync(join(world.state, 'locks/example.com.lock'), 'utf8')) as { pid: number }
      t.equal(lock.pid, child.pid)
    },
  )
  process.umask(umask)
  const all = everythingIn(world.state)
  for (const secret of [world.key.id, world.key.secret, token]) t.notOk(all.includes(secret), 'no credential is kept')
})

t.test('a step is crossed off at once', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({ method: 'PUT', key: /latest\// }, { hang: true })
  await killedWhen(t, world, 'the second step', () => rule.hits > 0 && stepsIn(world.state).startsWith('archive done'))
  t.equal(stepsIn(world.state), 'archive done, latest pending')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key)
  rule.remove()
  ends(t, await world.deploy(material), 0)
  provesDone(t, world)
})

for (let nth = 1; nth <= 11; nth++) {
  t.test(`killed when request ${nth} is on its way`, together(), async (t) => {
    const world = await openWorld(t)
    const rule = world.emulator.fail({ nth }, { hang: true })
    await killedWhen(t, world, `request ${nth}`, () => rule.hits > 0)
    t.match(stepsIn(world.state), /^archive (pending|done), latest pending$/, 'it says at least what is missing')
    t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key)
    const place = 'at%20oss%20my-ssl-certs%2Fcerts%2Fexample.com%2F.lock'
    t.same(readdirSync(join(world.state, 'locks')), [place, 'example.com.lock'], 'its locks are left')
    ends(t, await deployHere(world), 0)
    provesDone(t, world)
    const archived = putKeys(world.emulator).filter((key) => key.startsWith(prefix + material.archive))
    t.equal(new Set(archived).size, archived.length, 'no file of the archive was written twice')
  })
}

t.test('killed again and again', together(), async (t) => {
  const world = await openWorld(t)
  for (const nth of [2, 5, 7, 10]) {
    const rule = world.emulator.fail({ nth }, { hang: true })
    await killedWhen(t, world, `request ${nth}`, () => rule.hits > 0)
    rule.remove()
  }
  ends(t, await world.deploy(material), 0)
  provesDone(t, world)
})

t.test('five at once with the same certificate', together(), async (t) => {
  const world = await openWorld(t)
  const words = [...world.toBucket, '--directory', world.path('tls')]
  const runs = await Promise.all(Array.from({ length: 5 }, () => world.deploy(material, words)))
  for (const run of runs) ends(t, run, 0)
  provesLayout(t, world.objects, material)
  provesFiles(t, material, (file) => readFileSync(world.path('tls', 'latest', file)))
  t.same(readdirSync(world.path('tls')).sort(), [material.archive, 'latest'].sort(), 'nothing is left behind')
  const put = putKeys(world.emulator)
  t.equal(put.length, 10, 'the work is done once')
  t.equal(stepsIn(world.state), 'archive done, latest done, archive done, latest done')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined)
  t.same(readdirSync(join(world.state, 'locks')), [])
  t.match(runs.map(({ stderr }) => stderr).join(''), /waiting for process \d+ on \S+, which is at work on example\.com/)
})

t.test('five at once with two certificates of the same name', together(), async (t) => {
  const world = await openWorld(t)
  const words = [...world.toBucket, '--directory', world.path('tls')]
  const wanted = [older, material, older, material, older]
  for (const run of await Promise.all(wanted.map((one) => world.deploy(one, words)))) ends(t, run, 0)
  provesLayout(t, world.objects, material, { others: fileNames.map((file) => `${prefix}${older.archive}/${file}`) })
  provesFiles(t, older, (file) => world.objects.get(`${prefix}${older.archive}/${file}`)?.body)
  provesFiles(t, material, (file) => readFileSync(world.path('tls', 'latest', file)))
  t.equal(deploymentsIn(world.state).length, 2)
  t.ok(deploymentsIn(world.state).every(({ privateKey }) => privateKey === undefined))
})

t.test('without a common state folder they do not disturb each other either', together(), async (t) => {
  const world = await openWorld(t)
  const runs = await Promise.all(
    [0, 1, 2].map((i) =>
      world.deploy(material, [...world.toBucket, '--directory', world.path('tls')], {
        environment: { ACME_OSS_STATE_DIR: world.path(`state ${i}`) },
      }),
    ),
  )
  for (const run of runs) ends(t, run, 0)
  provesLayout(t, world.objects, material)
  provesFiles(t, material, (file) => readFileSync(world.path('tls', 'latest', file)))
  t.same(readdirSync(world.path('tls')).sort(), [material.archive, 'latest'].sort())
})

t.test('different names do not wait for each other', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({ method: 'PUT' }, { hang: true })
  let second: Promise<RunResult> | undefined
  const first = await world.deploy(material, world.toBucket, {
    onStart: (child) =>
      void until('the first to be at work', () => rule.hits > 0)
        .then(async () => {
          second = world.deploy(material, ['--directory', world.path('tls'), '--name', 'another'])
          await second
        })
        .catch((error: unknown) => t.fail(String(error)))
        .finally(() => child.kill('SIGKILL')),
  })
  t.equal(first.signal, 'SIGKILL')
  t.equal((await second)?.code, 0)
})

t.test('interrupted while it waits for another process', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({ method: 'PUT' }, { hang: true })
  let waiting: Promise<RunResult> | undefined
  await killedWhen(t, world, 'the first to be at work', () => rule.hits > 0)
  const before = rule.hits
  const first = await world.deploy(material, world.toBucket, {
    onStart: (holder) =>
      void until('the first to be at work again', () => rule.hits > before)
        .then(async () => {
          let said = ''
          waiting = world.deploy(material, [...world.toBucket, '--json'], {
            onStart: (child) => {
              child.stderr?.on('data', (piece: Buffer) => {
                said += piece
              })
              void until('the second to wait', () => said.includes('waiting for process'))
                .catch((error: unknown) => t.fail(String(error)))
                .finally(() => child.kill('SIGTERM'))
            },
          })
          await waiting
        })
        .finally(() => holder.kill('SIGKILL')),
  })
  t.equal(first.signal, 'SIGKILL')
  const run = await waiting
  t.equal(run?.code, 1)
  if (run !== undefined) t.match(resultOf(run), { ok: false, error: { code: 'LOCKED', hint: /example\.com\.lock/ } })
})

t.test('the record of what was done', together(), async (t) => {
  const world = await openWorld(t)
  const rule = world.emulator.fail({}, { status: 403, code: 'AccessDenied' })
  ends(t, await world.deploy(material), 1)
  t.equal(stepsIn(world.state), 'archive failed, latest pending')
  const text = everythingIn(join(world.state, 'deployments'))
  t.match(text, /"code": "CLOUD_REFUSED"/)
  t.match(text, /"requestId": "[0-9A-F]{24}"/)
  t.notOk(text.includes(world.key.id))
  rule.remove()

  const directory = ['--directory', world.path('tls')]
  const other = resultOf(await world.deploy(material, [...directory, '--json']))
  t.match(other, { ok: true, stages: [{ status: 'changed' }], pending: [{ step: 'archive' }, { step: 'latest' }] })
  t.equal(stepsIn(world.state), 'archive failed, latest pending, archive done, latest done', 'both in one record')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, material.key, 'kept for the one that is missing')

  ends(t, await world.deploy(material), 0)
  t.equal(stepsIn(world.state), 'archive done, latest done, archive done, latest done')
  t.equal(deploymentsIn(world.state)[0]?.privateKey, undefined)
  const [record] = deploymentsIn(world.state)
  t.ok(record, 'the record stays as history')
  t.match(JSON.stringify(record?.record), /"at":"\d{4}-/)

  rmObjects(world)
  ends(t, await world.deploy(material), 0)
  provesLayout(t, world.objects, material)
})

/** As if somebody had emptied the bucket. */
const rmObjects = ({ objects }: World): void => {
  for (const key of [...objects.keys()]) (objects as Map<string, unknown>).delete(key)
}

t.test('every run does its steps again, whatever the record says', together(), async (t) => {
  const world = await openWorld(t)
  ends(t, await world.deploy(material), 0)
  rmObjects(world)
  ends(t, await world.deploy(material), 0)
  provesDone(t, world)
})

t.test('a record that cannot be read is written anew', together(), async (t) => {
  for (const content of ['', '{', '[]', 'null', '{"schema":2}', '{"schema":1}', '{"schema":1,"targets":null}']) {
    const world = await openWorld(t)
    const folder = join(world.state, 'deployments/example.com', sha256(material.x509.raw).slice(0, 12))
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'record.json'), content)
    ends(t, await deployHere(world), 0)
    t.comment(JSON.stringify(content))
    provesDone(t, world)
  }
})

t.test('names that would lead elsewhere', together(), async (t) => {
  const names = [
    '../../../outside',
    '..',
    '.',
    '/',
    '/etc',
    '*',
    '.hidden',
    'a/b',
    '例え'.repeat(150),
    'x'.repeat(1000),
  ]
  const world = await openWorld(t)
  for (const name of names) {
    const run = await world.deploy(material, ['--directory', world.path('tls'), '--name', name, '--json'], {
      here: true,
    })
    ends(t, run, 0)
    t.equal(resultOf(run).certificate?.['name'], name)
    t.same(resultOf(run).warnings, [], 'and it is recorded')
  }
  t.same(readdirSync(world.folder).sort(), ['state', 'tls'])
  t.same(readdirSync(world.state).sort(), ['deployments', 'locks'])
  const folders = readdirSync(join(world.state, 'deployments'))
  t.equal(folders.length, names.length, 'each has a folder of its own')
  for (const folder of folders) t.match(folder, /^[A-Za-z0-9%_.!~'()-]{1,255}$/)
  t.notOk(
    folders.some((folder) => folder.startsWith('.')),
    'which no listing passes over',
  )
  t.same(
    deploymentsIn(world.state)
      .map(({ record }) => record.name)
      .sort(),
    [...names].sort(),
  )
})

t.test('a state folder that cannot be used', together(), async (t) => {
  const broken: Readonly<Record<string, (world: World) => string>> = {
    'a file in its place': (world) => world.file('state', ''),
    'a file above it': (world) => join(world.file('file', ''), 'state'),
    'something that is no folder': () => '/dev/null',
    'a file in the place of its locks': (world) => {
      mkdirSync(world.path('other'))
      writeFileSync(world.path('other', 'locks'), '')
      return world.path('other')
    },
    'a file in the place of its deployments': (world) => {
      mkdirSync(world.path('other'))
      writeFileSync(world.path('other', 'deployments'), '')
      return world.path('other')
    },
    'a folder in the place of the lock': (world) => {
      const lock = world.path('other', 'locks', 'example.com.lock')
      mkdirSync(join(lock, 'x'), { recursive: true })
      // Old enough to be taken for one that was left behind.
      utimesSync(lock, 1, 1)
      return world.path('other')
    },
  }
  for (const [what, state] of Object.entries(broken)) {
    await t.test(what, async (t) => {
      const world = await openWorld(t)
      const environment = { ACME_OSS_STATE_DIR: state(world) }
      const text = await world.deploy(material, world.toBucket, { environment, terse: true, here: true })
      ends(t, text, 0)
      provesLayout(t, world.objects, material)
      t.match(text.stderr, /^warning: nothing was recorded, so what failed is not tried again by itself: [^\n]+$/m)

      world.emulator.fail({}, { status: 403, code: 'AccessDenied' })
      const failing = await world.deploy(material, [...world.toBucket, '--json'], { environment, here: true })
      ends(t, failing, 1)
      const result = resultOf(failing)
      t.match(result, { ok: false, pending: [], warnings: [/nothing was recorded/] })
      t.equal(stepError(result).code, 'CLOUD_REFUSED')
    })
  }
})

t.test(
  'a state folder without the right to write',
  together({ skip: isRoot && 'root may write anywhere' }),
  async (t) => {
    const world = await openWorld(t)
    mkdirSync(world.state)
    chmodSync(world.state, 0o500)
    const run = await world.deploy(material, world.toBucket)
    chmodSync(world.state, 0o700)
    ends(t, run, 0)
    t.match(run.stderr, /warning: nothing was recorded/)
    provesLayout(t, world.objects, material)
  },
)

t.test('where it lies by default', together({ skip: isRoot && "root's is the machine's own" }), async (t) => {
  const world = await openWorld(t)
  const environment = { HOME: world.folder, ACME_OSS_STATE_DIR: undefined }
  ends(t, await world.deploy(material, world.toBucket, { environment }), 0)
  t.equal(stepsIn(world.path('.local', 'state', 'acme-oss')), 'archive done, latest done')
})

t.test('--state-dir, from wherever it runs', together(), async (t) => {
  const world = await openWorld(t)
  const words = [...world.toBucket, '--state-dir', 'here/and there']
  ends(t, await world.deploy(material, words), 0)
  t.equal(stepsIn(world.path('here', 'and there')), 'archive done, latest done')
  t.notOk(existsSync(world.state), 'the flag beats the variable')
})

t.test('what a lock that was left behind means', together(), async (t) => {
  const world = await openWorld(t)
  const dead = spawnSync(process.execPath, ['-e', '0']).pid
  const left = (lock: object): void => {
    mkdirSync(join(world.state, 'locks'), { recursive: true })
    writeFileSync(join(world.state, 'locks', 'example.com.lock'), JSON.stringify(lock))
  }
  left({ token: 'x', host: (await import('node:os')).hostname(), pid: dead })
  ends(t, await world.deploy(material), 0)
  provesDone(t, world)
})

t.test('a certificate without a name that can be looked up', together(), async (t) => {
  const nameless: Material = await mintMaterial({ names: ['192.0.2.7'] })
  const world = await openWorld(t)
  ends(t, await world.deploy(nameless), 0)
  t.equal(deploymentsIn(world.state)[0]?.record.name, '192.0.2.7')
  provesDone(t, world, nameless)
})

await proveSilence(t)

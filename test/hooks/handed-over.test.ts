// What clients hand over that do not run here: lego 5, and uacme, which cannot be pointed at a private CA. And what is
// answered to a client that hands over nothing.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mintMaterial, openWorld, proveSilence, provesLayout } from '../deploy-world.js'
import { keyPem } from '../mint.js'
import { installCommand, quoted, recorded, runProgram, settings, writeExecutable } from './hook-world.js'

t.test('lego 5 has other names for its variables', async (t) => {
  for (const bundled of [true, false]) {
    const world = await openWorld(t)
    const names = ['*.example.com', ...Array.from({ length: 60 }, (_, i) => `name-${i}.example.com`)]
    const material = await mintMaterial({ names })
    const environment = {
      ...settings(world),
      LEGO_HOOK_ACCOUNT_EMAIL: 'a@example.com',
      LEGO_HOOK_CERT_NAME: '*.example.com',
      LEGO_HOOK_CERT_DOMAINS: names.join(','),
      LEGO_HOOK_CERT_PATH: world.file('_.example.com.crt', bundled ? material.fullchain : material.leaf),
      LEGO_HOOK_CERT_KEY_PATH: world.file('_.example.com.key', keyPem(material.privateKey, 'sec1')),
      LEGO_HOOK_ISSUER_CERT_PATH: world.file('_.example.com.issuer.crt', material.chain),
    }
    const ended = await world.run(['hook', 'lego'], { environment })
    t.equal(ended.code, 0, ended.stderr)
    provesLayout(t, world.objects, material)
    t.same(recorded(world), [{ name: '*.example.com', keeps: false }])
  }
})

t.test('uacme: called where it says that something was issued, and nowhere else', async (t) => {
  for (const [status, calls] of [
    [0, true],
    [1, false],
    [2, false],
  ] as const) {
    const world = await openWorld(t)
    const { command } = installCommand(world)
    const material = await mintMaterial({ names: ['example.com'] })
    const folder = world.path('uacme conf')
    for (const part of ['example.com', 'private/example.com']) mkdirSync(join(folder, part), { recursive: true })
    writeFileSync(join(folder, 'example.com', 'cert.pem'), material.fullchain)
    writeFileSync(join(folder, 'private', 'example.com', 'key.pem'), keyPem(material.privateKey, 'sec1'))
    const uacme = writeExecutable(world.path('uacme'), `#!/bin/sh\nexit ${status}\n`)
    const line = `${quoted(uacme)} issue example.com && ${quoted(command)} hook uacme example.com`
    const environment = { ...settings(world), UACME_CONFDIR: folder }
    const { code, stderr } = await runProgram('/usr/bin/dash', ['-c', line], environment)
    t.equal(code, status, stderr)
    if (calls) provesLayout(t, world.objects, material)
    t.equal(recorded(world).length, calls ? 1 : 0)
  }
})

t.test('a client that hands over nothing is shown its own line', async (t) => {
  const world = await openWorld(t)
  const files = { CERT_KEY_PATH: '/a/key', CERT_FULLCHAIN_PATH: '', Le_Domain: 'example.com' }
  for (const [words, environment, line] of [
    [['certbot'], {}, '--deploy-hook'],
    [['certbot'], { RENEWED_LINEAGE: '' }, 'renewal-hooks/deploy/'],
    [['acme.sh'], files, '--reloadcmd'],
    [['acme.sh', '--', 'example.com', '/a/key', '/a/cert', '/a/ca', ''], {}, '--deploy-hook acme_oss'],
    [['dehydrated', '--', 'deploy_cert', 'example.com', '/a/key'], {}, 'HOOK='],
    [['lego'], { LEGO_CERT_PATH: '/a/crt' }, '--renew-hook'],
    [['uacme'], {}, 'acme-oss hook uacme example.com'],
  ] as const) {
    const { code, stderr } = await world.run(['hook', ...words], {
      environment: { ...settings(world), ...environment },
    })
    t.equal(code, 2, words.join(' '))
    t.match(stderr, line)
  }
  t.same(recorded(world), [])
  t.equal(world.emulator.requests.length, 0)
})

await proveSilence(t)

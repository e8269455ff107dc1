// hooks/acme.sh/acme_oss.sh and the reloadcmd, in dash with stand-ins for acme.sh's own functions.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { targetFlags } from '../../src/cli/target-flags.js'
import {
  bucket,
  intermediate,
  keepSecret,
  type Material,
  mintMaterial,
  openWorld,
  prefix,
  proveSilence,
  provesLayout,
  type World,
} from '../deploy-world.js'
import { type KeyForm, type KeyKind, keyPem } from '../mint.js'
import { type AcmeSh, standInForAcmeSh } from './acme-sh-harness.js'
import {
  cloudDown,
  installCommand,
  installScript,
  makeFolder,
  recorded,
  recorder,
  scriptText,
  settings,
  sync,
} from './hook-world.js'

const pem = { key: 'key', cert: 'cert', ca: '' }
const domain = '*.example.com'

t.test('called with the six words behind --, and with its status handed on', async (t) => {
  for (const status of [0, 1, 2, 3]) {
    const folder = makeFolder(t)
    const call = recorder(folder, status)
    const hook = installScript('acme.sh/acme_oss.sh', join(folder, 'acme_oss.sh'), call)
    const acme = standInForAcmeSh({ folder, domain, hook, pem })
    const { code, stderr } = await acme.deploy()
    t.equal(code, status)
    const { key, cert, ca, fullchain } = acme.files
    const pfx = join(acme.certificateFolder, `${domain}.pfx`)
    t.same(call.words(), ['hook', 'acme.sh', '--', domain, key, cert, ca, fullchain, pfx])
    if (status === 0) t.equal(stderr, '')
    else t.match(stderr, 'acme-oss')
  }
})

t.test('settings are kept with the domain for the renewals to come', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const hook = installScript('acme.sh/acme_oss.sh', join(folder, 'acme_oss.sh'), call)
  const acme = standInForAcmeSh({ folder, domain, hook, pem })
  const given = {
    ACME_OSS_BUCKET: bucket,
    ACME_OSS_PREFIX: prefix,
    ACME_OSS_DIRECTORY: `/srv/it's | a & "folder" $(touch ran)`,
    ACME_OSS_CNAME_ENDPOINT: '1',
  }
  t.equal((await acme.deploy(given)).code, 0)
  t.match(call.environment(), given)
  t.match(acme.domainConf(), `SAVED_ACME_OSS_BUCKET='${bucket}'\n`)
  t.notMatch(acme.domainConf(), 'ACME_OSS_REGION', 'only what is set')
  call.clear()
  t.equal((await acme.deploy()).code, 0)
  t.match(call.environment(), given, 'the renewal has them again')
  t.notOk('ACME_OSS_REGION' in call.environment(), 'what is not set stays so')
  t.equal((await acme.deploy({ ACME_OSS_BUCKET: 'another' })).code, 0)
  t.equal(call.environment()['ACME_OSS_BUCKET'], 'another')
  await acme.deploy()
  t.equal(call.environment()['ACME_OSS_BUCKET'], 'another', 'the newest is kept')
})

t.test('every way to name a target is kept, and nothing that is meant for one run alone', async (t) => {
  const [, list = ''] = /for _ao_name in ([\s\S]*?); do/.exec(scriptText('acme.sh/acme_oss.sh')) ?? []
  const kept = list.split(/[\s\\]+/)
  for (const flag of Object.keys(targetFlags)) {
    const variable = flag.toUpperCase().replaceAll('-', '_')
    t.equal(kept.includes(variable), !['allow-older', 'allow-untrusted'].includes(flag), variable)
  }
})

t.test('settings of the domain come before the file of variables, which is not kept', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const environmentFile = join(folder, 'env')
  writeFileSync(environmentFile, 'ACME_OSS_BUCKET=of-the-file\nACME_OSS_REGION=cn-shanghai\n')
  const hook = installScript('acme.sh/acme_oss.sh', join(folder, 'h.sh'), { command: call.command, environmentFile })
  const acme = standInForAcmeSh({ folder, domain, hook, pem })
  await acme.deploy({ ACME_OSS_BUCKET: bucket })
  await acme.deploy()
  t.match(call.environment(), { ACME_OSS_BUCKET: bucket, ACME_OSS_REGION: 'cn-shanghai' })
  t.notMatch(acme.domainConf(), 'REGION')
})

t.test('credentials come from account.conf, and are seen by the command alone', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const hook = installScript('acme.sh/acme_oss.sh', join(folder, 'acme_oss.sh'), call)
  const [id, secret] = ['LTAI5tOfAccountConf', 'a secret of account.conf']
  const account = `SAVED_Ali_Key='${id}'\nSAVED_Ali_Secret='${secret}'\n`
  const acme = standInForAcmeSh({ folder, domain, hook, pem, account })
  const { stdout, stderr } = await acme.deploy({ DEBUG: '1' })
  t.match(call.environment(), { Ali_Key: id, Ali_Secret: secret })
  for (const place of [stdout, stderr, acme.domainConf(), ...(call.words() ?? [])]) t.notMatch(place, secret)
  await acme.deploy({ Ali_Key: 'of the caller', Ali_Secret: 'too' })
  t.match(call.environment(), { Ali_Key: 'of the caller', Ali_Secret: 'too' })
})

// --- with the real command ---

const acmeShOver = (world: World, material: Material, key: string, name = domain): AcmeSh => {
  const { command } = installCommand(world)
  // Credentials are where acme.sh has them, and in no other place.
  const account = `SAVED_Ali_Key='${world.key.id}'\nSAVED_Ali_Secret='${world.key.secret}'\n`
  const hook = installScript('acme.sh/acme_oss.sh', world.path('acme_oss.sh'), { command })
  const files = { key, cert: material.leaf, ca: material.chain }
  return standInForAcmeSh({ folder: world.path('a home'), domain: name, hook, pem: files, account })
}

const withoutCredentials = (world: World): Record<string, string> => {
  const { ALIBABA_CLOUD_ACCESS_KEY_ID: _id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: _secret, ...rest } = settings(world)
  return rest
}

t.test('both ways deploy the files as acme.sh writes them', async (t) => {
  const kinds: readonly (readonly [KeyKind, KeyForm])[] = [
    ['rsa2048', 'pkcs1'],
    ['ec256', 'sec1'],
    ['ec256', 'sec1-with-params'],
  ]
  for (const [kind, form] of kinds) {
    for (const way of ['deploy hook', 'reloadcmd'] as const) {
      const world = await openWorld(t)
      const material = await mintMaterial({ names: [domain, 'example.com'], key: kind })
      const acme = acmeShOver(world, material, keyPem(material.privateKey, form))
      const environment = withoutCredentials(world)
      const line = `'${world.path('bin', 'acme-oss')}' hook acme.sh`
      const ended = await (way === 'deploy hook'
        ? acme.deploy(environment)
        : acme.reload(line, { ...environment, Ali_Key: world.key.id, Ali_Secret: world.key.secret }))
      t.equal(ended.code, 0, `${way}, ${form}: ${ended.stderr}`)
      provesLayout(t, world.objects, material)
      t.same(recorded(world), [{ name: domain, keeps: false }], 'no key is kept')
    }
  }
})

t.test('an empty ca.cer, as for a certificate straight from a root', async (t) => {
  const world = await openWorld(t)
  const material = await mintMaterial({ names: [domain], issuer: intermediate, chain: '' })
  const acme = acmeShOver(world, material, keyPem(material.privateKey, 'sec1'))
  const ended = await acme.deploy(withoutCredentials(world))
  t.equal(ended.code, 0, ended.stderr)
  t.equal(world.objects.get(`${prefix}latest/chain.pem`)?.body.toString(), '')
})

t.test('the cloud down: status 1, and sync deploys it when it is back', async (t) => {
  const world = await openWorld(t)
  const material = await mintMaterial({ names: [domain] })
  const acme = acmeShOver(world, material, keyPem(material.privateKey, 'sec1'))
  const outage = cloudDown(world)
  const ended = await acme.deploy({ ...withoutCredentials(world), ACME_OSS_TIMEOUT: '1' })
  t.equal(ended.code, 1, ended.stderr)
  t.match(ended.stderr, 'acme-oss sync')
  t.same(recorded(world), [{ name: domain, keeps: true }])
  outage.up()
  const later = await sync(world, ['--now'])
  t.equal(later.code, 0, later.stderr)
  provesLayout(t, world.objects, material)
  t.same(recorded(world), [{ name: domain, keeps: false }])
})

keepSecret('a secret of account.conf')
await proveSilence(t)

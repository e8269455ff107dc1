// The library's face: a certificate from whoever holds it to the places where it is wanted, without the command line.
//
//   const { bundle } = normalize({ certificates, privateKey: new Secret(key) }, new Date())
//   const connections = new HttpConnections()
//   const context = { connections, credentials: defaultCredentials(process.env), timeout: 60_000, now: () => new Date() }
//   const target = createTarget('oss', { bucket: 'my-ssl-certs', region: 'cn-hangzhou' }, context)
//   const report = await execute(planDeployment(bundle, [target]), new AbortController().signal, [])
//   connections.close()

export { type CredentialSource, type Credentials, defaultCredentials } from './aliyun/credentials.js'
export { archiveName, type CertificateBundle, fullchain } from './certificate/bundle.js'
export type { IssuedMaterial } from './certificate/material.js'
export { covers } from './certificate/names.js'
export { type Normalized, normalize } from './certificate/normalize.js'
export { CertError, type ErrorCode, isInputError } from './errors.js'
export { HttpConnections } from './http-connections.js'
export { type Deployed, type DeployOptions, deploy } from './pipeline/deploy.js'
export { execute, type Observer, type Report, type StageReport, type StepResult } from './pipeline/execute.js'
export { type Plan, planDeployment } from './pipeline/plan.js'
export { Secret } from './secret.js'
export { StateFolder } from './state/state-folder.js'
export { createTarget, type TargetContext } from './targets/index.js'
export type { DeployTarget, Outcome, Step, TargetSettings } from './targets/target.js'

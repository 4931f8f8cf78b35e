import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A certificate for 127.0.0.1, or whom else `subject` names, that signs itself; its path. */
export function makeCertificate(directory: string, name: string, subject = 'IP:127.0.0.1'): string {
  const certificate = join(directory, `${name}.pem`);
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const names = ['-subj', `/CN=walden ${name}`, '-addext', `subjectAltName=${subject}`];
  execFileSync('openssl', [...words, ...names, '-keyout', keyOf(certificate), '-out', certificate], {
    stdio: 'ignore',
    timeout: 30_000,
  });
  return certificate;
}

/** The path of its private key. */
export function keyOf(certificate: string): string {
  return certificate.replace(/\.pem$/, '.key');
}

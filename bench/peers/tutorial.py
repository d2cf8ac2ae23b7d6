# The tutorial's thread-per-client server, to the letter but for the port, which is an argument.
# mypy: ignore-errors
# ruff: noqa
# fmt: off
import socket
import sys
import threading

HOST = '0.0.0.0'  # Listen on all network interfaces
PORT = int(sys.argv[1])  # Port to listen on

def handle_client(client_socket, address):
    print(f"Connection from {address} established.")
    while True:
        try:
            data = client_socket.recv(1024)
            if not data:
                break
            print(f"Received from {address}: {data.decode()}")
        except ConnectionResetError:
            print(f"Connection from {address} closed.")
            break
        except Exception as e:
            if e.errno == 104:
                print(f"EOF received from {address}. Connection closed.")
                break
            else:
                print(f"Error receiving data from {address}: {e}")
                break
    client_socket.close()

def main():
    # Create a socket object
    server_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    # Bind the socket to the host and port
    server_socket.bind((HOST, PORT))

    # Listen for incoming connections
    server_socket.listen(5)
    print(f"Listening on {HOST}:{PORT}...")

    try:
        while True:
            # Accept a connection
            client_socket, address = server_socket.accept()

            # Start a new thread to handle the client
            client_thread = threading.Thread(target=handle_client, args=(client_socket, address))
            client_thread.start()
    except KeyboardInterrupt:
        print("Server interrupted. Closing...")
    finally:
        server_socket.close()

if __name__ == "__main__":
    main()
